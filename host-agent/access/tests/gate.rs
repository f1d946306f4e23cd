//! The gate as a whole: who gets in, who does not, and what that costs.

use std::net::IpAddr;
use std::time::Duration;

use access::{
    Book, BookError, CODE_VALID, Code, Gate, Identity, Limits, MAX_REVOKED, MAX_TOKENS, Moment,
    Origin, Peer, Policy, Rate, Refusal, Role, Token,
};
use proptest::prelude::*;

const START: u64 = 1_795_000_000;

fn at(seconds: u64) -> Moment {
    Moment {
        now: Duration::from_secs(seconds),
        unix_s: START + seconds,
    }
}

fn peer(ip: &str) -> Peer {
    Peer::new(ip.parse().unwrap())
}

fn here() -> Peer {
    peer("127.0.0.1")
}

fn elsewhere() -> Peer {
    peer("10.0.0.7")
}

fn token(seed: u8) -> Token {
    Token::from_random([seed; 32])
}

fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.reveal())
}

fn policy(local: Option<Role>) -> Policy {
    Policy {
        local,
        limits: Limits::default(),
    }
}

/// A gate that knows an operator's token (1) and an administrator's (2) that ends after an hour.
fn gate() -> Gate {
    let mut book = Book::default();
    let operator = token(1).hash();
    book.add("operator", Role::Operate, operator, None, START)
        .unwrap();
    let boss = token(2).hash();
    book.add("boss", Role::Admin, boss, Some(3_600), START)
        .unwrap();
    Gate::new(policy(Some(Role::Read)), book)
}

#[test]
fn without_a_token_only_this_machine_may_anything() {
    let mut gate = gate();
    let local = gate.identify(at(0), here(), None).unwrap();
    assert_eq!(
        (local.role, &local.origin),
        (Some(Role::Read), &Origin::Local)
    );
    for ip in ["10.0.0.7", "8.8.8.8", "fe80::1", "::ffff:10.0.0.7"] {
        let nobody = gate.identify(at(0), peer(ip), None).unwrap();
        assert_eq!((nobody.role, nobody.origin), (None, Origin::Nobody), "{ip}");
    }
    let behind_a_proxy = gate.identify(at(0), here().proxied(true), None).unwrap();
    assert_eq!(behind_a_proxy.role, None);
    let mut closed = Gate::new(policy(None), Book::default());
    assert_eq!(closed.identify(at(0), here(), None).unwrap().role, None);
}

#[test]
fn a_token_gives_its_role_wherever_it_is_shown() {
    let mut gate = gate();
    for from in [
        here(),
        elsewhere(),
        here().proxied(true),
        peer("2001:db8::1"),
    ] {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let header = format!("{scheme} {}", token(1).reveal());
            let who = gate.identify(at(0), from, Some(&header)).unwrap();
            assert_eq!(
                (who.name.as_str(), who.role),
                ("operator", Some(Role::Operate))
            );
            assert!(gate.holds(at(0), &who));
        }
    }
}

#[test]
fn a_header_that_is_not_right_is_refused_even_where_none_is_needed() {
    let mut gate = gate();
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer hw_short",
        token(1).reveal(),
    ] {
        let refused = gate.identify(at(0), here(), Some(header));
        assert_eq!(refused, Err(Refusal::Unreadable), "{header}");
    }
    let wrong = gate.identify(at(0), here(), Some(&bearer(&token(9))));
    assert_eq!(wrong, Err(Refusal::Unknown));
}

#[test]
fn what_is_no_token_at_all_is_no_guess() {
    let mut gate = gate();
    for _ in 0..100 {
        assert_eq!(
            gate.login(at(0), elsewhere(), "password"),
            Err(Refusal::Unreadable)
        );
    }
    assert!(gate.login(at(0), elsewhere(), token(1).reveal()).is_ok());
}

#[test]
fn a_token_ends_on_time_and_stays_ended() {
    let mut gate = gate();
    let boss = gate
        .login(at(3_599), elsewhere(), token(2).reveal())
        .unwrap();
    assert!(gate.holds(at(3_599), &boss));
    assert!(!gate.holds(at(3_600), &boss));
    let refused = gate.login(at(3_600), elsewhere(), token(2).reveal());
    assert_eq!(
        refused,
        Err(Refusal::Expired {
            name: "boss".into()
        })
    );
    assert!(gate.note_expired(at(3_600)));
    assert!(!gate.note_expired(at(3_601)));
    // The clock is set back by a day, while the agent runs.
    let back = Moment {
        now: Duration::from_secs(3_700),
        unix_s: START - 86_400,
    };
    assert!(!gate.holds(back, &boss));
    assert!(gate.login(back, elsewhere(), token(2).reveal()).is_err());
    // And over a restart.
    let kept = Book::from_json(&gate.book().unwrap().to_json()).unwrap();
    let mut after = Gate::new(policy(None), kept);
    assert!(after.login(back, elsewhere(), token(2).reveal()).is_err());
}

#[test]
fn a_clock_that_has_lost_the_date_does_not_lengthen_a_token() {
    let mut gate = gate();
    let start_of_time = |seconds| Moment {
        now: Duration::from_secs(seconds),
        unix_s: seconds,
    };
    // The clock shows 1970: nothing is known to have ended, so it is let in ...
    assert!(
        gate.login(start_of_time(0), elsewhere(), token(2).reveal())
            .is_ok()
    );
    // ... until the date is known.
    assert!(
        gate.login(at(4_000), elsewhere(), token(2).reveal())
            .is_err()
    );
    assert!(
        gate.login(start_of_time(4_001), elsewhere(), token(2).reveal())
            .is_err()
    );
    // A token made while the clock was right, and used later, has ended whatever the clock says.
    let mut book = Book::default();
    book.add("old", Role::Read, token(3).hash(), Some(10), START)
        .unwrap();
    let id = book.tokens()[0].id.clone();
    assert!(book.note_used(&id, START + 11));
    assert!(book.tokens()[0].is_expired(0));
}

#[test]
fn a_revoked_token_is_dead_at_once_and_told_so() {
    let mut gate = gate();
    let who = gate.login(at(0), elsewhere(), token(1).reveal()).unwrap();
    gate.book_mut().unwrap().revoke("operator", START).unwrap();
    assert!(!gate.holds(at(0), &who));
    for second in 0..100 {
        let refused = gate.login(at(second), elsewhere(), token(1).reveal());
        assert_eq!(
            refused,
            Err(Refusal::Revoked {
                name: "operator".into()
            })
        );
    }
    // Whoever has another token at the same address is not locked out by that.
    assert!(gate.login(at(100), elsewhere(), token(2).reveal()).is_ok());
}

#[test]
fn a_token_with_another_role_than_when_it_was_shown_does_not_hold() {
    let mut gate = gate();
    let who = gate.login(at(0), elsewhere(), token(1).reveal()).unwrap();
    let book = gate.book_mut().unwrap();
    book.revoke("operator", START).unwrap();
    let mut changed = Book::default();
    changed
        .add("operator", Role::Read, token(1).hash(), None, START)
        .unwrap();
    gate.set_book(Ok(changed));
    assert!(!gate.holds(at(0), &who));
}

#[test]
fn tokens_that_cannot_be_known_open_nothing() {
    let mut gate = gate();
    let who = gate.login(at(0), here(), token(2).reveal()).unwrap();
    gate.set_book(Err("the file is damaged".to_owned()));
    assert!(!gate.holds(at(0), &who));
    for from in [here(), elsewhere()] {
        let refused = gate.login(at(0), from, token(2).reveal()).unwrap_err();
        assert!(matches!(&refused, Refusal::Unavailable { reason } if reason.contains("damaged")));
        assert_eq!(refused.status(), 503);
    }
    // What needs none goes on, and so does the owner.
    assert_eq!(
        gate.identify(at(0), here(), None).unwrap().role,
        Some(Role::Read)
    );
    gate.set_owner(Some(token(5).hash()));
    assert_eq!(
        gate.login(at(0), here(), token(5).reveal()).unwrap().role,
        Some(Role::Admin)
    );
}

#[test]
fn the_owners_token_opens_only_from_this_machine() {
    let mut gate = gate();
    gate.set_owner(Some(token(5).hash()));
    let owner = gate.login(at(0), here(), token(5).reveal()).unwrap();
    assert_eq!(
        (owner.role, &owner.origin),
        (Some(Role::Admin), &Origin::Owner)
    );
    for from in [elsewhere(), here().proxied(true)] {
        let refused = gate.login(at(0), from, token(5).reveal());
        assert_eq!(refused, Err(Refusal::LocalOnly));
    }
    gate.set_owner(None);
    assert!(!gate.holds(at(0), &owner));
    assert!(gate.login(at(0), here(), token(5).reveal()).is_err());
}

#[test]
fn guessers_are_locked_out_and_nobody_else_is() {
    let mut gate = gate();
    for guess in 10..14 {
        let refused = gate.login(at(0), elsewhere(), token(guess).reveal());
        assert_eq!(refused, Err(Refusal::Unknown));
    }
    let locked = Err(Refusal::LockedOut { retry_after_s: 10 });
    assert_eq!(gate.login(at(0), elsewhere(), token(14).reveal()), locked);
    assert_eq!(gate.lockouts(), 1);
    // Even the right one has to wait now: whether it is right is not told.
    assert_eq!(gate.login(at(0), elsewhere(), token(1).reveal()), locked);
    let refused = gate
        .login(at(9), elsewhere(), token(1).reveal())
        .unwrap_err();
    assert_eq!(refused.retry_after_s(), Some(1));
    assert!(gate.login(at(10), elsewhere(), token(1).reveal()).is_ok());
    // Others never had to.
    assert!(
        gate.login(at(0), peer("10.0.0.8"), token(1).reveal())
            .is_ok()
    );
}

#[test]
fn a_flood_of_guesses_from_everywhere_does_not_lock_the_owner_out() {
    let mut gate = gate();
    gate.set_owner(Some(token(5).hash()));
    for n in 0..20_000u32 {
        let mut guess = [7; 32];
        guess[..4].copy_from_slice(&n.to_le_bytes());
        let from = Peer::new(IpAddr::from(
            (u128::from(n) << 64 | 0x2001 << 112).to_be_bytes(),
        ));
        let _ = gate.request(at(0), from);
        assert!(
            gate.login(at(0), from, Token::from_random(guess).reveal())
                .is_err()
        );
        // Guessers on this machine, too.
        let _ = gate.login(at(0), here(), Token::from_random(guess).reveal());
    }
    assert!(gate.request(at(0), here()).is_ok());
    assert!(gate.login(at(0), here(), token(5).reveal()).is_ok());
    assert!(gate.login(at(0), here(), token(2).reveal()).is_ok());
    // An owner elsewhere gets in as well, because a right token is no guess.
    assert!(gate.login(at(0), elsewhere(), token(2).reveal()).is_ok());
}

#[test]
fn requests_are_limited_by_address_and_for_all_but_not_on_this_machine() {
    let limits = Limits {
        address: Rate {
            per_s: 1.0,
            burst: 3.0,
        },
        all: Rate {
            per_s: 1.0,
            burst: 5.0,
        },
        addresses: 16,
    };
    let mut gate = Gate::new(
        Policy {
            local: None,
            limits,
        },
        Book::default(),
    );
    let passed = |gate: &mut Gate, from: Peer| {
        (0..10)
            .filter(|_| gate.request(at(0), from).is_ok())
            .count()
    };
    assert_eq!(passed(&mut gate, elsewhere()), 3);
    assert_eq!(passed(&mut gate, peer("10.0.0.8")), 2);
    assert_eq!(passed(&mut gate, peer("10.0.0.9")), 0);
    assert_eq!(passed(&mut gate, here()), 10);
    let refused = gate.request(at(0), elsewhere()).unwrap_err();
    assert_eq!(
        (refused.code(), refused.status(), refused.retry_after_s()),
        (-32003, 429, Some(1))
    );
    assert!(gate.request(at(1), elsewhere()).is_ok());
}

fn code() -> Code {
    Code::from_random([1, 2, 3, 4, 5, 6, 7, 8])
}

#[test]
fn a_code_makes_one_token() {
    let mut gate = gate();
    assert_eq!(
        gate.redeem(at(0), elsewhere(), &code().reveal(), "phone"),
        Err(Refusal::NoPairing)
    );
    gate.start_pairing(at(0), &code(), Role::Operate);
    assert_eq!(gate.pairing(at(1)).unwrap().role, Role::Operate);
    let role = gate
        .redeem(at(1), elsewhere(), &code().reveal(), "phone")
        .unwrap();
    assert_eq!(role, Role::Operate);
    assert_eq!(gate.pairing(at(1)), None);
    assert_eq!(
        gate.redeem(at(1), elsewhere(), &code().reveal(), "phone"),
        Err(Refusal::NoPairing)
    );
}

#[test]
fn a_code_is_void_after_a_while_and_after_guesses_from_anywhere() {
    let mut gate = gate();
    gate.start_pairing(at(0), &code(), Role::Admin);
    let late = at(CODE_VALID.as_secs());
    assert_eq!(
        gate.redeem(late, elsewhere(), &code().reveal(), "phone"),
        Err(Refusal::NoPairing)
    );
    gate.start_pairing(at(700), &code(), Role::Admin);
    for (n, left) in (0..5).zip([4, 3, 2, 1, 0]) {
        let from = peer(&format!("10.0.1.{n}"));
        let refused = gate.redeem(at(700), from, &format!("WRONG{n}"), "phone");
        assert_eq!(refused, Err(Refusal::WrongCode { left }));
    }
    assert_eq!(
        gate.redeem(at(700), elsewhere(), &code().reveal(), "phone"),
        Err(Refusal::NoPairing)
    );
}

#[test]
fn a_bad_name_does_not_use_the_code_up() {
    let mut gate = gate();
    gate.start_pairing(at(0), &code(), Role::Admin);
    for name in ["", " phone", "a\nb", "\u{202e}evil", &"x".repeat(64)] {
        let refused = gate.redeem(at(0), elsewhere(), &code().reveal(), name);
        assert!(matches!(refused, Err(Refusal::NoToken { .. })), "{name:?}");
    }
    assert!(
        gate.redeem(at(0), elsewhere(), &code().reveal(), "Jürgens phone")
            .is_ok()
    );
}

#[test]
fn refusals_do_not_repeat_what_was_shown() {
    let mut gate = gate();
    for shown in [token(9).reveal().to_owned(), "hw_almost-a-token".to_owned()] {
        let refused = gate
            .login(at(0), elsewhere(), &shown)
            .unwrap_err()
            .to_string();
        assert!(!refused.contains(&shown), "{refused}");
    }
}

#[test]
fn a_book_is_read_as_it_was_written() {
    let mut book = Book::default();
    for seed in 0..20 {
        let expires = (seed % 2 == 0).then_some(60);
        book.add(
            &format!("token {seed}"),
            Role::ALL[usize::from(seed % 4)],
            token(seed).hash(),
            expires,
            START,
        )
        .unwrap();
    }
    book.revoke("token 3", START + 5).unwrap();
    let id = book.tokens()[0].id.clone();
    book.revoke(&id, START + 6).unwrap();
    book.note_expired(START + 61);
    assert_eq!(Book::from_json(&book.to_json()).unwrap(), book);
    assert_eq!(
        Book::from_json(&Book::default().to_json()).unwrap(),
        Book::default()
    );
    let text = book.to_json();
    for seed in 0..20 {
        assert!(!text.contains(token(seed).reveal()));
    }
}

#[test]
fn a_book_is_bounded_and_names_are_unique() {
    let mut book = Book::default();
    for n in 0..MAX_TOKENS {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        let hash = Token::from_random(bytes).hash();
        book.add(&book.free_name("phone"), Role::Read, hash, None, START)
            .unwrap();
    }
    let full = book.add("one more", Role::Read, token(0).hash(), None, START);
    assert!(matches!(full, Err(BookError::Full)));
    let taken = book.add("phone", Role::Read, token(0).hash(), None, START);
    assert!(matches!(taken, Err(BookError::Taken(_))));
    while let Some(record) = book.tokens().first() {
        let id = record.id.clone();
        book.revoke(&id, START).unwrap();
    }
    assert_eq!(book.revoked().len(), MAX_REVOKED);
    assert!(matches!(
        book.revoke("phone", START),
        Err(BookError::NotFound(_))
    ));
}

#[test]
fn a_book_that_is_not_exactly_one_is_none() {
    let mut book = Book::default();
    book.add("a", Role::Admin, token(1).hash(), None, START)
        .unwrap();
    let good = book.to_json();
    let hash = serde_json::to_string(&token(1).hash()).unwrap();
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("\"admin\"", "\"root\""),
        ("\"name\"", "\"nome\""),
        ("\"a\"", "\"\""),
        ("\"a\"", "\"a\\u202e\""),
        (hash.as_str(), "\"00\""),
        ("\"created_unix_s\": 1", "\"created_unix_s\": -1"),
        (
            "\"revoked\": []",
            &format!(
                "\"revoked\": [{{\"name\": \"a\", \"sha256\": {hash}, \"revoked_unix_s\": 1}}]"
            ),
        ),
        ("}\n", "}}\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Book::from_json(&bad).is_err(), "{bad}");
    }
    assert!(Book::from_json("").is_err());
    assert!(matches!(
        Book::from_json("{\"version\": 9, \"grants\": 1}"),
        Err(BookError::Version(9))
    ));
    for end in 0..good.trim_end().len() {
        assert!(Book::from_json(&good[..end]).is_err(), "{}", &good[..end]);
    }
}

/// What may happen to a gate.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    ClockTo(u64),
    Revoke(u8),
    Damage,
    Mend,
    Login(u8, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u64..5_000).prop_map(Step::Wait),
        (0u64..2 * START).prop_map(Step::ClockTo),
        (1u8..3).prop_map(Step::Revoke),
        Just(Step::Damage),
        Just(Step::Mend),
        (1u8..6, any::<bool>()).prop_map(|(seed, local)| Step::Login(seed, local)),
        (1u8..6, any::<bool>()).prop_map(|(seed, local)| Step::Login(seed, local)),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_only_good_tokens_get_in(steps in steps()) {
        let mut gate = gate();
        let mut now = at(0);
        let (mut revoked, mut damaged, mut boss_ended) = ([false; 3], false, false);
        let mut inside: Vec<Identity> = Vec::new();
        let mut whole = gate.book().unwrap().clone();
        for step in steps {
            match step {
                Step::Wait(seconds) => {
                    now.now += Duration::from_secs(seconds);
                    now.unix_s += seconds;
                }
                Step::ClockTo(unix_s) => now.unix_s = unix_s,
                Step::Revoke(seed) => {
                    let name = ["", "operator", "boss"][usize::from(seed)];
                    revoked[usize::from(seed)] |= whole.revoke(name, now.unix_s).is_ok();
                    if !damaged {
                        gate.set_book(Ok(whole.clone()));
                    }
                }
                Step::Damage => {
                    damaged = true;
                    gate.set_book(Err("damaged".to_owned()));
                }
                Step::Mend => {
                    damaged = false;
                    gate.set_book(Ok(whole.clone()));
                }
                Step::Login(seed, local) => {
                    let from = if local { here() } else { elsewhere() };
                    let outcome = gate.login(now, from, token(seed).reveal());
                    if let Ok(who) = &outcome {
                        prop_assert!(!damaged && seed <= 2 && !revoked[usize::from(seed)]);
                        prop_assert!(!(seed == 2 && boss_ended));
                        let role = [Role::Operate, Role::Admin][usize::from(seed) - 1];
                        prop_assert_eq!(who.role, Some(role));
                        inside.push(who.clone());
                    }
                    if let Err(Refusal::Expired { name }) = &outcome {
                        prop_assert_eq!(name, "boss");
                        boss_ended = true;
                    }
                }
            }
            if gate.note_expired(now) {
                boss_ended = true;
                whole.merge_uses(gate.book().unwrap());
            }
            for who in &inside {
                let seed = if who.name == "boss" { 2 } else { 1 };
                let good = !(damaged || revoked[seed] || seed == 2 && boss_ended);
                prop_assert_eq!(gate.holds(now, who), good);
            }
        }
    }

    #[test]
    fn any_text_can_be_shown(text in any::<String>(), code in any::<String>(), name in any::<String>()) {
        let mut gate = gate();
        gate.start_pairing(at(0), &self::code(), Role::Admin);
        prop_assert!(gate.identify(at(0), elsewhere(), Some(&text)).is_err());
        prop_assert!(gate.login(at(0), elsewhere(), &text).is_err());
        prop_assert!(gate.redeem(at(0), elsewhere(), &code, &name).is_err());
        let _ = Book::from_json(&text);
    }
}
