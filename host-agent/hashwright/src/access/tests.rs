//! The shell around the gate: files, their damage, and TLS.

use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use access::audit::Line;
use access::{Identity, Origin, Peer, Refusal, Role};
use serde_json::json;
use tempfile::TempDir;

use super::store::{self, LocalToken, Store, StoreError, TOKENS};
use super::{Keeper, OpenError, trail};
use crate::clock::Clock;
use crate::config::{Agent, Api};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn agent(folder: &Path) -> Agent {
    Agent {
        name: "rack-3-7".to_owned(),
        state_dir: folder.to_owned(),
        state_dir_given: true,
    }
}

fn local() -> Api {
    Api::new("127.0.0.1:4029".parse().unwrap())
}

fn keeper(folder: &Path) -> Keeper {
    Keeper::open(&agent(folder), &local(), Clock::start()).unwrap()
}

/// Adds a token as the command line does.
fn add(folder: &Path, name: &str, role: Role) -> String {
    let token = store::fresh_token().unwrap();
    Store::new(folder)
        .change(|book| book.add(name, role, token.hash(), None, store::unix_s()))
        .unwrap();
    token.reveal().to_owned()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn remote() -> Api {
    Api::new("0.0.0.0:4029".parse().unwrap())
}

#[cfg(feature = "tls")]
#[test]
fn nobody_listens_to_other_machines_before_somebody_can_log_in() {
    let folder = folder();
    let open = |api: &Api| Keeper::open(&agent(folder.path()), api, Clock::start());
    let error = open(&remote()).unwrap_err();
    assert!(matches!(error, OpenError::NoToken { .. }), "{error}");
    let said = error.to_string();
    for part in ["hashwright auth add", "pairing = \"start\"", "0.0.0.0:4029"] {
        assert!(said.contains(part), "{said}");
    }
    let pairing = Api {
        pairing_at_start: true,
        ..remote()
    };
    assert!(open(&pairing).is_ok());
    add(folder.path(), "phone", Role::Read);
    assert!(open(&remote()).is_ok());
}

#[cfg(feature = "tls")]
#[test]
fn a_damaged_token_file_opens_nothing() {
    let folder = folder();
    let token = add(folder.path(), "phone", Role::Admin);
    let file = folder.path().join(TOKENS);
    let whole = fs::read_to_string(&file).unwrap();
    for damage in [
        "",
        "{",
        &whole[..whole.len() / 2],
        &whole.replace("admin", "root"),
    ] {
        fs::write(&file, damage).unwrap();
        let error = Keeper::open(&agent(folder.path()), &remote(), Clock::start()).unwrap_err();
        assert!(matches!(error, OpenError::NoStore { .. }), "{error}");
        let keeper = keeper(folder.path());
        assert!(
            keeper.notes()[0].contains("Put back a copy"),
            "{:?}",
            keeper.notes()
        );
        let refused = keeper.login(Peer::new(HERE), &token).unwrap_err();
        assert!(matches!(refused, Refusal::Unavailable { .. }), "{refused}");
        // Nor is it written over.
        let changed = Store::new(folder.path()).change(|_| Ok(()));
        assert!(matches!(changed, Err(StoreError::Content { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), damage);
        // Mended, it works again without a restart.
        fs::write(&file, &whole).unwrap();
        assert!(keeper.login(Peer::new(HERE), &token).is_ok());
    }
}

#[test]
fn a_token_file_that_is_damaged_later_cuts_everybody_off() {
    let folder = folder();
    let token = add(folder.path(), "phone", Role::Admin);
    let keeper = keeper(folder.path());
    let who = keeper.login(Peer::new(ELSEWHERE), &token).unwrap();
    assert!(keeper.still_valid(&who));
    fs::write(folder.path().join(TOKENS), "{ half a fi").unwrap();
    keeper.tick();
    assert!(!keeper.still_valid(&who));
    assert!(keeper.list().unwrap_err().contains("damaged"));
}

#[test]
fn a_token_file_that_others_can_write_is_not_believed() {
    let folder = folder();
    let token = add(folder.path(), "phone", Role::Admin);
    let file = folder.path().join(TOKENS);
    assert_eq!(mode(&file), 0o600);
    for unsafe_mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&file, Permissions::from_mode(unsafe_mode)).unwrap();
        let error = Store::new(folder.path()).load().unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        let refused = keeper(folder.path()).login(Peer::new(HERE), &token);
        assert!(matches!(refused, Err(Refusal::Unavailable { .. })));
    }
    // What others can merely read is closed to them.
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(keeper(folder.path()).login(Peer::new(HERE), &token).is_ok());
    assert_eq!(mode(&file), 0o600);
    // Only root can give it away.
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_ok() {
        let error = Store::new(folder.path()).load().unwrap_err();
        assert!(error.to_string().contains("12345"), "{error}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told_and_kept_local() {
    let folder = folder();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let error = Keeper::open(&agent(&file), &remote(), Clock::start()).unwrap_err();
    assert!(error.to_string().contains("[agent] state_dir"), "{error}");
    let keeper = keeper(&file);
    assert!(keeper.notes()[0].contains("[agent] state_dir"));
    keeper.listening("127.0.0.1:4029".parse().unwrap());
    assert_eq!(keeper.info(Peer::new(HERE)).local_token_file, None);
    let changed = Store::new(&file).change(|_| Ok(()));
    assert!(matches!(changed, Err(StoreError::Io { .. })));
}

#[tokio::test]
async fn a_running_agent_notices_what_the_command_line_changes() {
    let folder = folder();
    let keeper = keeper(folder.path());
    let token = add(folder.path(), "phone", Role::Tune);
    let peer = Peer::new(ELSEWHERE);
    let who = keeper.login(peer, &token).unwrap();
    assert_eq!((who.name.as_str(), who.role), ("phone", Some(Role::Tune)));
    assert_eq!(keeper.whoami(&who).by, "token");
    let gone = {
        let (keeper, who) = (keeper.clone(), who.clone());
        tokio::spawn(async move { keeper.gone(&who).await })
    };
    Store::new(folder.path())
        .change(|book| book.revoke("phone", store::unix_s()))
        .unwrap();
    keeper.tick();
    gone.await.unwrap();
    assert!(!keeper.still_valid(&who));
    let refused = keeper.login(peer, &token).unwrap_err();
    assert_eq!(
        refused,
        Refusal::Revoked {
            name: "phone".into()
        }
    );
}

#[tokio::test]
async fn tokens_made_and_revoked_by_the_agent_are_in_its_file() {
    let folder = folder();
    let keeper = keeper(folder.path());
    let made = keeper.add("phone", Role::Admin, Some(600)).await.unwrap();
    assert!(made.expires_unix_s.unwrap() >= store::unix_s() + 599);
    let again = keeper.add("phone", Role::Admin, None).await.unwrap_err();
    assert!(again.to_string().contains("another name"), "{again}");
    let who = keeper.login(Peer::new(ELSEWHERE), &made.token).unwrap();
    assert_eq!(
        Store::new(folder.path()).load().unwrap().tokens()[0].name,
        "phone"
    );
    assert_eq!(keeper.list().unwrap()[0].id, made.id);
    let text = fs::read_to_string(folder.path().join(TOKENS)).unwrap();
    assert!(!text.contains(&made.token[3..]));
    keeper.revoke(&made.id).await.unwrap();
    keeper.gone(&who).await;
    assert!(keeper.list().unwrap().is_empty());
    assert!(keeper.revoke(&made.id).await.is_err());
}

#[test]
fn agent_and_command_line_do_not_lose_each_others_changes() {
    let folder = folder();
    let keeper = keeper(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                for n in 0..5 {
                    add(folder, &format!("token {thread}.{n}"), Role::Read);
                }
            });
        }
        for _ in 0..20 {
            keeper.tick();
        }
    });
    keeper.tick();
    assert_eq!(keeper.list().unwrap().len(), 20);
}

#[test]
fn last_uses_are_kept_but_not_more_than_hourly() {
    let folder = folder();
    let token = add(folder.path(), "phone", Role::Read);
    let keeper = keeper(folder.path());
    keeper.login(Peer::new(HERE), &token).unwrap();
    keeper.tick();
    let used = Store::new(folder.path()).load().unwrap().tokens()[0].last_used_unix_s;
    assert!(used.is_some());
    let before = store::Stamp::read(&folder.path().join(TOKENS));
    for _ in 0..10 {
        keeper.login(Peer::new(HERE), &token).unwrap();
        keeper.tick();
    }
    assert_eq!(store::Stamp::read(&folder.path().join(TOKENS)), before);
}

#[tokio::test]
async fn the_token_for_this_machine_lives_as_long_as_the_agent() {
    let folder = folder();
    let keeper = keeper(folder.path());
    let listen: SocketAddr = "127.0.0.1:5029".parse().unwrap();
    keeper.listening(listen);
    let (here, elsewhere) = (Peer::new(HERE), Peer::new(ELSEWHERE));
    let file = keeper.info(here).local_token_file.unwrap();
    assert_eq!(keeper.info(elsewhere).local_token_file, None);
    assert_eq!(keeper.info(here.proxied(true)).local_token_file, None);
    assert_eq!(mode(&file), 0o600);
    let local = LocalToken::read(Path::new(&file)).unwrap();
    let owner = keeper.login(here, local.token.reveal()).unwrap();
    assert_eq!(
        (owner.role, &owner.origin),
        (Some(Role::Admin), &Origin::Owner)
    );
    assert!(keeper.login(elsewhere, local.token.reveal()).is_err());
    // It is for this address and no other program's.
    assert!(local.is_for(listen));
    for other in [
        "127.0.0.1:4029",
        "127.0.0.2:5029",
        "10.0.0.7:5029",
        "[::1]:5029",
    ] {
        assert!(!local.is_for(other.parse().unwrap()), "{other}");
    }
    keeper.clone().run(async {}).await;
    assert!(!Path::new(&file).exists());
    assert!(!keeper.still_valid(&owner));
    assert!(keeper.login(here, local.token.reveal()).is_err());
}

#[test]
fn no_other_secret_is_taken_for_the_token_for_this_machine() {
    let token = store::fresh_token().unwrap();
    let good = LocalToken {
        token: token.clone(),
        listen: "0.0.0.0:4029".parse().unwrap(),
        fingerprint: None,
    };
    assert_eq!(LocalToken::from_text(&good.to_text()), Some(good.clone()));
    assert!(good.is_for("127.0.0.1:4029".parse().unwrap()));
    assert!(!good.is_for("10.0.0.7:4029".parse().unwrap()));
    for text in [
        "",
        "root:x:0:0:root:/root:/bin/bash\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n",
        token.reveal(),
        &format!("{}\nnowhere\n-\n", token.reveal()),
        &format!("{}more\n", good.to_text()),
    ] {
        assert_eq!(LocalToken::from_text(text), None, "{text}");
    }
}

#[tokio::test]
async fn pairing_makes_one_token() {
    let folder = folder();
    let keeper = keeper(folder.path());
    let peer = Peer::new(ELSEWHERE);
    assert!(!keeper.info(peer).pairing_open);
    let code = keeper.start_pairing(Role::Operate).unwrap();
    assert!(keeper.info(peer).pairing_open);
    let wrong = keeper.pair(peer, "WRONG", "phone").await.unwrap_err();
    assert_eq!(wrong, Refusal::WrongCode { left: 4 });
    let made = keeper
        .pair(peer, &code.code.to_lowercase(), "phone")
        .await
        .unwrap();
    assert_eq!((made.name.as_str(), made.role), ("phone", Role::Operate));
    assert!(keeper.login(peer, &made.token).is_ok());
    assert_eq!(
        keeper.pair(peer, &code.code, "phone").await,
        Err(Refusal::NoPairing)
    );
    // Pairing the same device again does not fail for its name.
    let code = keeper.start_pairing(Role::Operate).unwrap();
    let second = keeper.pair(peer, &code.code, "phone").await.unwrap();
    assert_eq!(second.name, "phone-2");
    let audit = keeper.audit_list(10).await.unwrap();
    let told = serde_json::to_string(&audit).unwrap();
    assert!(
        told.contains("auth.pair")
            && !told.contains(&made.token[3..])
            && !told.contains(&code.code)
    );
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_first_start_shows_a_code_as_long_as_nobody_has_a_token() {
    let folder = folder();
    let api = Api {
        pairing_at_start: true,
        ..remote()
    };
    let keeper = Keeper::open(&agent(folder.path()), &api, Clock::start()).unwrap();
    let peer = Peer::new(ELSEWHERE);
    keeper.tick();
    assert!(!keeper.info(peer).pairing_open, "before it listens");
    keeper.listening("0.0.0.0:4029".parse().unwrap());
    keeper.tick();
    assert!(keeper.info(peer).pairing_open);
    // Guesses make it void, and the next one is not shown at once.
    for n in 0..5 {
        let from = Peer::new(IpAddr::from([10, 0, 1, n]));
        assert!(keeper.pair(from, &format!("GUESS{n}"), "x").await.is_err());
    }
    keeper.tick();
    assert!(!keeper.info(peer).pairing_open);
    add(folder.path(), "phone", Role::Admin);
    keeper.tick();
    assert!(!keeper.info(peer).pairing_open);
}

#[tokio::test]
async fn what_was_changed_is_written_down_without_secrets() {
    let folder = folder();
    let keeper = keeper(folder.path());
    let who = Identity {
        name: "phone".to_owned(),
        role: Some(Role::Admin),
        origin: Origin::Token { id: "0".to_owned() },
    };
    let params = json!({"url": "stratum+tcp://pool.example:3333", "password": "S3CRET"});
    keeper.audit(
        &who,
        Some(Peer::new(ELSEWHERE)),
        "rpc",
        "pool.add",
        params,
        Ok(()),
    );
    keeper.audit(&who, None, "mqtt", "miner.pause", json!({}), Err("not now"));
    let file = folder.path().join(trail::FILE);
    assert_eq!(mode(&file), 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        !text.contains("S3CRET") && text.contains("pool.example"),
        "{text}"
    );
    let records = keeper.audit_list(10).await.unwrap();
    assert_eq!(records[0].outcome, "ok");
    assert_eq!(records[0].peer.as_deref(), Some("10.0.0.7"));
    assert_eq!(
        (records[1].method.as_str(), records[1].outcome.as_str()),
        ("miner.pause", "not now")
    );
    assert_eq!(keeper.audit_list(1).await.unwrap()[0].method, "miner.pause");
    // Strangers fill neither the file nor the memory.
    let nobody = keeper.identify(Peer::new(ELSEWHERE), None).unwrap();
    for _ in 0..1_000 {
        keeper.audit(
            &nobody,
            Some(Peer::new(ELSEWHERE)),
            "rpc",
            "pool.set",
            json!([]),
            Err("no"),
        );
    }
    assert_eq!(keeper.audit_list(1_000).await.unwrap().len(), 22);
}

#[test]
fn the_audit_log_is_bounded_and_outlives_damage() {
    let folder = folder();
    let store = Store::new(folder.path());
    let line = |n: u64| Line {
        unix_s: n,
        who: "phone".to_owned(),
        role: Some(Role::Admin),
        via: "rpc".to_owned(),
        peer: None,
        method: "cooling.set".to_owned(),
        params: json!({"target_c": n}),
        outcome: "ok".to_owned(),
    };
    let most = 4_096;
    for n in 0..500 {
        trail::append(&store, &line(n), most).unwrap();
        let size = |name: &str| fs::metadata(folder.path().join(name)).map_or(0, |file| file.len());
        assert!(size("audit.log") <= most && size("audit.log.1") <= most);
    }
    let kept = trail::read(&store, 1_000).unwrap();
    assert!(kept.len() > 30);
    let times: Vec<_> = kept.iter().map(|line| line.unix_s).collect();
    let newest: Vec<_> = (500 - times.len() as u64..500).collect();
    assert_eq!(times, newest);
    // Half a line, as after a power cut, costs that line.
    let file = folder.path().join(trail::FILE);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() - 20]).unwrap();
    assert_eq!(trail::read(&store, 1_000).unwrap().len(), kept.len() - 1);
}

#[cfg(feature = "tls")]
mod tls {
    use stratum::transport::Fingerprint;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::access::pin::{Expect, PinError, wrap};
    use crate::access::{Acceptor, certificate};
    use crate::config::ServerTls;

    fn acceptor(folder: &Path) -> Acceptor {
        Acceptor::new(&remote(), "rack-3-7", Some(folder.to_owned())).unwrap()
    }

    /// Serves one connection, which says `hello`; `from` is where it seems to come from.
    async fn serve(acceptor: Acceptor, from: IpAddr) -> SocketAddr {
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(socket, Peer::new(from)).await else {
                    continue;
                };
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }

    async fn reach(address: SocketAddr, expect: Expect) -> Result<(String, Fingerprint), PinError> {
        let socket = TcpStream::connect(address).await.unwrap();
        let (mut link, seen) = wrap(socket, "127.0.0.1", expect).await?;
        let mut said = String::new();
        link.read_to_string(&mut said).await.unwrap();
        Ok((said, seen))
    }

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let folder = folder();
        let first = acceptor(folder.path()).fingerprint().unwrap();
        assert_eq!(acceptor(folder.path()).fingerprint(), Some(first));
        for file in [certificate::CERTIFICATE, certificate::KEY] {
            assert_eq!(mode(folder.path().join(file)), 0o600, "{file}");
        }
        fs::remove_file(folder.path().join(certificate::KEY)).unwrap();
        let error = Acceptor::new(&remote(), "x", Some(folder.path().to_owned())).unwrap_err();
        assert!(error.to_string().contains("only"), "{error}");
        fs::remove_file(folder.path().join(certificate::CERTIFICATE)).unwrap();
        assert_ne!(acceptor(folder.path()).fingerprint(), Some(first));
        fs::write(folder.path().join(certificate::CERTIFICATE), "damaged").unwrap();
        let error = Acceptor::new(&remote(), "x", Some(folder.path().to_owned())).unwrap_err();
        assert!(error.to_string().contains("cannot be used"), "{error}");
    }

    #[test]
    fn any_name_of_a_miner_gets_a_certificate() {
        for name in ["a", "rack_3.7", "UPPER", &"x".repeat(63), "a..b", "-"] {
            let made = certificate::make(name);
            assert!(made.is_ok(), "{name}");
        }
    }

    #[tokio::test]
    async fn an_agent_is_known_by_its_certificate() {
        let folder = folder();
        let acceptor = acceptor(folder.path());
        let own = acceptor.fingerprint().unwrap();
        let address = serve(acceptor, ELSEWHERE).await;
        let (said, seen) = reach(address, Expect::Pinned(own)).await.unwrap();
        assert_eq!((said.as_str(), seen), ("hello", own));
        assert_eq!(reach(address, Expect::First).await.unwrap().1, own);
        // No authority vouches for it.
        let error = reach(address, Expect::Authority).await.unwrap_err();
        assert!(
            matches!(error, PinError::Unknown { seen, .. } if seen == own),
            "{error}"
        );
        assert!(error.to_string().contains("--fingerprint"), "{error}");
        // Another one than ever: loud.
        let other = Fingerprint::from_bytes([7; 32]);
        let error = reach(address, Expect::Pinned(other)).await.unwrap_err();
        assert!(
            matches!(error, PinError::Changed { seen, .. } if seen == own),
            "{error}"
        );
        assert!(error.to_string().contains("CHANGED"), "{error}");
    }

    #[tokio::test]
    async fn only_this_machine_may_leave_tls_out() {
        let folder = folder();
        let here = serve(acceptor(folder.path()), HERE).await;
        let mut socket = TcpStream::connect(here).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut said = [0; 5];
        socket.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
        assert!(reach(here, Expect::First).await.is_ok());

        let elsewhere = serve(acceptor(folder.path()), ELSEWHERE).await;
        let mut socket = TcpStream::connect(elsewhere).await.unwrap();
        socket.write_all(b"G").await.unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).await.unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 400 ") && body.contains("https://"),
            "{said}"
        );
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_from_one_with_it() {
        let plain = Acceptor::new(&local(), "x", None).unwrap();
        assert_eq!(plain.fingerprint(), None);
        let address = serve(plain, HERE).await;
        let error = reach(address, Expect::First).await.unwrap_err();
        assert!(matches!(error, PinError::NoTls(_)), "{error}");
    }

    #[test]
    fn the_owners_certificate_is_read_again_when_it_changes() {
        let folder = folder();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let write = || {
            let pems = certificate::make("mine").unwrap();
            fs::write(&key, &pems.key).unwrap();
            fs::write(&certificate, &pems.certificate).unwrap();
        };
        let api = Api {
            tls: ServerTls::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            ..local()
        };
        let error = Acceptor::new(&api, "x", None).unwrap_err();
        assert!(error.to_string().contains("[api] tls"), "{error}");
        write();
        let acceptor = Acceptor::new(&api, "x", None).unwrap();
        let first = acceptor.fingerprint();
        acceptor.refresh();
        assert_eq!(acceptor.fingerprint(), first);
        // Half written: the old one serves on.
        fs::write(&certificate, "half").unwrap();
        acceptor.refresh();
        assert_eq!(acceptor.fingerprint(), first);
        write();
        acceptor.refresh();
        assert_ne!(acceptor.fingerprint(), first);
    }

    /// An agent on this machine that speaks TLS, with its URL.
    async fn whole_agent(folder: &Path) -> (Keeper, String) {
        let pems = certificate::make("rack-3-7").unwrap();
        let (certificate, key) = (folder.join("c.pem"), folder.join("k.pem"));
        fs::write(&certificate, &pems.certificate).unwrap();
        fs::write(&key, &pems.key).unwrap();
        let api = Api {
            tls: ServerTls::Files { certificate, key },
            ..Api::new("127.0.0.1:0".parse().unwrap())
        };
        let keeper = Keeper::open(&agent(folder), &api, Clock::start()).unwrap();
        let options = crate::api::Options {
            listen: api.listen,
            keeper: Some(keeper.clone()),
        };
        let state = tokio::sync::watch::channel(std::sync::Arc::default()).1;
        let server = crate::api::serve(options, state, std::future::pending()).await;
        let url = server.unwrap().local_addr().to_string();
        (keeper, url)
    }

    #[tokio::test]
    async fn the_command_line_reaches_an_agent_over_tls_until_its_token_is_revoked() {
        use crate::cli::{Client, ClientError, Target};
        use rpc::method::{AuthList, AuthWhoAmI, EventsSubscribe};

        let folder = folder();
        let (keeper, address) = whole_agent(folder.path()).await;
        let made = keeper.add("screen", Role::Read, None).await.unwrap();
        let file = folder.path().join("screen.token");
        fs::write(&file, &made.token).unwrap();
        let good = Target {
            token_file: Some(file),
            fingerprint: keeper.fingerprint().map(|print| print.to_string()),
            ..Target::new(format!("https://{address}"))
        };
        let client = Client::connect_to(&good).await.unwrap();
        assert_eq!(client.who().unwrap().name.as_deref(), Some("screen"));
        let refused = client
            .ask::<AuthList>(&Default::default())
            .await
            .unwrap_err();
        assert_eq!(refused.refusal().unwrap().code, rpc::error::NEEDS_ROLE);
        let mut news = client
            .subscribe::<EventsSubscribe>(&Default::default())
            .await
            .unwrap();

        // The same port without TLS, as the owner, who can read the agent's files.
        let owner = Client::connect(&format!("http://{address}")).await.unwrap();
        assert_eq!(owner.who().unwrap().by, "local-token");
        assert_eq!(
            owner
                .ask::<AuthList>(&Default::default())
                .await
                .unwrap()
                .len(),
            1
        );
        let anybody = Target {
            anonymous: true,
            ..Target::new(format!("http://{address}"))
        };
        let anybody = Client::connect_to(&anybody).await.unwrap();
        let whoami = anybody
            .ask::<AuthWhoAmI>(&Default::default())
            .await
            .unwrap();
        assert_eq!(
            (whoami.by.as_str(), whoami.role),
            ("local", Some(Role::Read))
        );

        // A certificate that is not known, or another one than ever.
        for fingerprint in [None, Some("07".repeat(32))] {
            let other = Target {
                fingerprint,
                ..good.clone()
            };
            let error = Client::connect_to(&other).await.unwrap_err();
            assert!(matches!(error, ClientError::Tls { .. }), "{error}");
        }

        keeper.revoke("screen").await.unwrap();
        // What was on its way may still come, and then the end.
        while news.next().await.is_some() {}
        let error = Client::connect_to(&good).await.unwrap_err().to_string();
        assert!(error.contains("revoked"), "{error}");
    }
}
