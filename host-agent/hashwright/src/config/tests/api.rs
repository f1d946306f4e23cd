//! `[api]`.

use rpc::Role;

use super::super::{Api, ServerTls};
use super::{MINIMAL, parse, problem};

fn api(lines: &str) -> Api {
    parse(&format!("{MINIMAL}\n[api]\n{lines}\n")).unwrap().api
}

fn refused(lines: &str) -> String {
    problem(&format!("{MINIMAL}\n[api]\n{lines}\n"))
}

#[test]
fn the_api_is_for_this_machine_unless_configured() {
    let api = parse(MINIMAL).unwrap().api;
    assert_eq!(api, Api::new("127.0.0.1:4029".parse().unwrap()));
    assert_eq!(api.local, Some(Role::Read));
    assert!(!api.is_remote() && !api.speaks_tls() && !api.pairing_at_start);
}

#[cfg(feature = "tls")]
#[test]
fn other_machines_get_tls_without_being_asked() {
    for listen in ["0.0.0.0:4029", "192.168.1.5:4029", "[::]:4029"] {
        let api = api(&format!("listen = \"{listen}\""));
        assert!(api.is_remote() && api.speaks_tls(), "{listen}");
    }
    for listen in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        let api = api(&format!("listen = \"{listen}\""));
        assert!(!api.is_remote() && !api.speaks_tls(), "{listen}");
    }
}

#[test]
fn other_machines_get_nothing_in_the_clear() {
    let said = refused("listen = \"0.0.0.0:4029\"\ntls = \"off\"");
    assert!(said.starts_with("line 12: api.tls: "), "{said}");
    assert!(
        said.contains("Leave tls out") && said.contains("SSH tunnel"),
        "{said}"
    );
    assert!(!api("tls = \"off\"").speaks_tls());
    let said = refused("listen = \"localhost\"");
    assert!(said.starts_with("line 11: api.listen: "), "{said}");
}

#[cfg(feature = "tls")]
#[test]
fn every_key_is_taken_over() {
    let api = api(
        "listen = \"[::]:5000\"\nlocal = \"none\"\nhosts = [\"Miner.LAN\", \"other.\"]\n\
         origins = [\"https://Farm.example:8443\"]\npairing = \"start\"\n\
         tls = { certificate = \"mine.pem\", key = \"/k/mine.key\" }",
    );
    assert_eq!(
        api,
        Api {
            listen: "[::]:5000".parse().unwrap(),
            local: None,
            tls: ServerTls::Files {
                certificate: "/etc/hashwright/mine.pem".into(),
                key: "/k/mine.key".into(),
            },
            hosts: vec!["miner.lan".into(), "other".into()],
            origins: vec!["https://farm.example:8443".into()],
            pairing_at_start: true,
        }
    );
    assert_eq!(
        api.to_string(),
        "[::]:5000 with TLS and your certificate, without a token from this machine: nothing"
    );
}

#[test]
fn what_would_open_too_much_is_refused() {
    for (lines, part) in [
        ("hosts = [\"*\"]", "wildcard"),
        ("hosts = [\"*.lan\"]", "wildcard"),
        ("hosts = [\"miner.lan:4029\"]", "without scheme and port"),
        ("hosts = [\"\"]", "no host name"),
        ("origins = [\"*\"]", "no origin"),
        ("origins = [\"null\"]", "no origin"),
        ("origins = [\"https://farm.example/page\"]", "no origin"),
        ("origins = [\"ftp://farm.example\"]", "no origin"),
        (
            "local = \"all\"",
            "write none, read, operate, tune or admin",
        ),
        ("pairing = \"always\"", "write off or start"),
        ("tls = \"on\"", "\"auto\", \"off\" or {"),
        ("tls = true", "\"auto\", \"off\" or {"),
        (
            "tls = { certificate = \"a.pem\" }",
            "api.tls.key: is missing",
        ),
        (
            "tls = { certificate = \"a.pem\", key = \"b\", password = \"c\" }",
            "unknown key",
        ),
    ] {
        let said = refused(lines);
        assert!(said.contains(part), "{lines}: {said}");
    }
}
