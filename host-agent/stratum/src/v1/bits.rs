//! The sixth parameter of a submit, and finding out which form of it the pool takes.

use super::memory::VersionBitsForm;
use crate::session::RejectKind;

/// The version bits of a share as the pool wants them.
pub(crate) fn version_bits(form: VersionBitsForm, job: u32, share: u32, mask: u32) -> u32 {
    match form {
        VersionBitsForm::Final => share & mask,
        VersionBitsForm::Changed => (share ^ job) & mask,
    }
}

/// Watches shares for which the forms differ, and asks for the other form when the pool takes
/// none of them.
///
/// Each change of mind needs twice as many rejects as the one before, since the rejects may
/// have another cause.
#[derive(Debug)]
pub(crate) struct FormWatch {
    rejected: u32,
    patience: u32,
}

/// Rejects in a row before the first change.
const FIRST_PATIENCE: u32 = 5;

impl Default for FormWatch {
    fn default() -> Self {
        Self {
            rejected: 0,
            patience: FIRST_PATIENCE,
        }
    }
}

impl FormWatch {
    /// A share in the present form was taken: the form is right.
    pub(crate) fn accepted(&mut self) {
        *self = Self::default();
    }

    /// A share in the present form was rejected; true if it is time for the other form.
    pub(crate) fn rejected(&mut self, kind: RejectKind) -> bool {
        // A wrong version gives a different hash, which is as good as random.
        if !matches!(kind, RejectKind::LowDifficulty | RejectKind::Unexplained) {
            return false;
        }
        self.rejected += 1;
        if self.rejected < self.patience {
            return false;
        }
        self.rejected = 0;
        self.patience = self.patience.saturating_mul(2);
        true
    }
}

impl VersionBitsForm {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Final => Self::Changed,
            Self::Changed => Self::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_differ_only_where_the_job_has_bits_inside_the_mask() {
        use VersionBitsForm::{Changed, Final};
        let mask = 0x1fff_e000;
        assert_eq!(
            version_bits(Final, 0x3000_0000, 0x3000_6000, mask),
            0x1000_6000
        );
        assert_eq!(
            version_bits(Changed, 0x3000_0000, 0x3000_6000, mask),
            0x6000
        );
        assert_eq!(version_bits(Final, 0x2000_0000, 0x2000_6000, mask), 0x6000);
        assert_eq!(
            version_bits(Changed, 0x2000_0000, 0x2000_6000, mask),
            0x6000
        );
    }

    #[test]
    fn only_an_unbroken_run_of_rejects_changes_the_form() {
        let mut watch = FormWatch::default();
        let low = RejectKind::LowDifficulty;
        assert!((0..4).all(|_| !watch.rejected(low)));
        watch.accepted();
        assert!((0..4).all(|_| !watch.rejected(low)));
        assert!(!watch.rejected(RejectKind::Stale));
        assert!(watch.rejected(low));
        assert!(
            (0..9).all(|_| !watch.rejected(low)),
            "the second change is harder"
        );
        assert!(watch.rejected(low));
    }
}
