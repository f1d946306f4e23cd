//! Who somebody is, once it is known.

use crate::refusal::Refusal;
use rpc::Role;

/// Who asks, and what they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name for the audit log: that of the token, or `local`, `owner`, `nobody`.
    pub name: String,
    /// What they may do; `None` for nothing but what anybody may.
    pub role: Option<Role>,
    /// How it is known.
    pub origin: Origin,
}

/// How it is known who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is not: somebody elsewhere without a token.
    Nobody,
    /// A program on this machine, without a token.
    Local,
    /// A program on this machine that can read the agent's own files.
    Owner,
    /// A token with this id.
    Token {
        /// See [`crate::TokenHash::id`].
        id: String,
    },
}

impl Identity {
    /// Somebody without a token; `local` is the role of those on this machine.
    pub(crate) fn anonymous(is_local: bool, local: Option<Role>) -> Self {
        if is_local {
            Self {
                name: "local".to_owned(),
                role: local,
                origin: Origin::Local,
            }
        } else {
            Self {
                name: "nobody".to_owned(),
                role: None,
                origin: Origin::Nobody,
            }
        }
    }

    /// Whether what `needed` says is allowed; `None` is what anybody may.
    #[must_use]
    pub fn allows(&self, needed: Option<Role>) -> bool {
        needed.is_none_or(|needed| self.role.is_some_and(|role| role >= needed))
    }

    /// The same, with the words for who is refused.
    ///
    /// # Errors
    ///
    /// [`Refusal::NeedsToken`] or [`Refusal::NeedsRole`].
    pub fn require(&self, needed: Option<Role>) -> Result<(), Refusal> {
        let Some(needs) = needed.filter(|_| !self.allows(needed)) else {
            return Ok(());
        };
        Err(match &self.origin {
            Origin::Nobody | Origin::Local => Refusal::NeedsToken {
                needs,
                has: self.role,
            },
            Origin::Owner | Origin::Token { .. } => Refusal::NeedsRole {
                needs,
                has: self.role,
                name: self.name.clone(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_lower_ones_may_and_no_more() {
        let roles = [Role::Read, Role::Operate, Role::Tune, Role::Admin];
        for (have, role) in roles.into_iter().enumerate() {
            let identity = Identity {
                name: "x".to_owned(),
                role: Some(role),
                origin: Origin::Owner,
            };
            assert!(identity.allows(None));
            for (need, needed) in roles.into_iter().enumerate() {
                assert_eq!(
                    identity.allows(Some(needed)),
                    have >= need,
                    "{role} {needed}"
                );
                assert_eq!(identity.require(Some(needed)).is_ok(), have >= need);
            }
        }
    }

    #[test]
    fn nobody_may_only_do_what_anybody_may() {
        let nobody = Identity::anonymous(false, Some(Role::Admin));
        assert!(nobody.allows(None));
        assert!(!nobody.allows(Some(Role::Read)));
        assert!(Identity::anonymous(true, Some(Role::Read)).allows(Some(Role::Read)));
        assert!(!Identity::anonymous(true, None).allows(Some(Role::Read)));
    }
}
