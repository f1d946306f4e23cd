//! `[upstream]` and `[[pool]]`: what is taken, and in which words everything else is refused.

use std::time::Duration;

use stratum::transport::Trust;

use super::*;

/// Segwit addresses of the main network, the test networks and regtest, as in BIP 173.
const MAIN: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const TEST: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
/// A pool's authority key, the example of the Stratum V2 specification.
const KEY: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
/// Of nothing in particular.
const FINGERPRINT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// A certificate that was made for this test, valid for a hundred years.
#[cfg(feature = "tls")]
const PEM: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBiDCCAS+gAwIBAgIUOkjqUHpF3mURisuevLhikb/AuLowCgYIKoZIzj0EAwIw\n\
    GTEXMBUGA1UEAwwOcG9vbCBhdXRob3JpdHkwIBcNMjYxMTIyMjM1MjAxWhgPMjEy\n\
    NjEwMjkyMzUyMDFaMBkxFzAVBgNVBAMMDnBvb2wgYXV0aG9yaXR5MFkwEwYHKoZI\n\
    zj0CAQYIKoZIzj0DAQcDQgAEXzvzfYDFt9uYs42mRYRFWMk3Z5GLmUEuTm8ldryb\n\
    NFfC3n0VyaTfWNwmHpqHZUGCDrhfXXyx0dzVMX12pksW+qNTMFEwHQYDVR0OBBYE\n\
    FIrSd0rnCOnG2rgU7R+4jyx/P0YeMB8GA1UdIwQYMBaAFIrSd0rnCOnG2rgU7R+4\n\
    jyx/P0YeMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgQ3juE0C3\n\
    Iimp9KUpggX8xbKCMruQ95KAbKFdjk9RxbsCIF7xjC+NjZ6hqEPvgn+z3tR6IsJR\n\
    tZrdno48uYFLQ4Io\n\
    -----END CERTIFICATE-----\n";

fn v1(lines: &str) -> String {
    pool(&format!("url = \"p.example:1\"\nuser = \"u\"\n{lines}"))
}

fn v2(lines: &str) -> String {
    pool(&format!(
        "url = \"stratum2+tcp://p.example:1/{KEY}\"\nuser = \"u\"\n{lines}"
    ))
}

fn node(lines: &str) -> String {
    pool(&format!("url = \"http://127.0.0.1\"\n{lines}"))
}

fn first(text: &str) -> Pool {
    parse(text).unwrap().pools.remove(0)
}

/// The only problem is about this key, and says this.
fn refused(text: &str, key: &str, words: &str) {
    let said = problem(text);
    assert!(said.contains(&format!("pool[0].{key}: ")), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn strategies_and_their_times_are_taken() {
    let text = format!(
        "{MINIMAL}[upstream]\nstrategy = \"failover\"\nreturn_after_s = 5\nidle_after_s = 0\n"
    );
    let upstream = parse(&text).unwrap().upstream;
    assert_eq!(upstream.return_after, Duration::from_secs(5));
    assert_eq!(upstream.idle_after, None);
    let said = problem(&format!("{MINIMAL}[upstream]\nstrategy = \"best\"\n"));
    assert!(said.contains("write failover or quota"), "{said}");
}

fn quotas(strategy: &str, quotas: &[&str]) -> String {
    let pools = quotas
        .iter()
        .map(|quota| format!("[[pool]]\nurl = \"p:1\"\nuser = \"u\"\n{quota}\n"));
    let board = "[[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\n";
    format!(
        "[upstream]\nstrategy = \"{strategy}\"\n{board}{}",
        pools.collect::<String>()
    )
}

#[test]
fn quotas_make_a_whole() {
    let config = parse(&quotas("quota", &["quota = 70", "quota = 30"])).unwrap();
    assert_eq!(config.upstream.strategy, Strategy::Quota);
    let parts: Vec<_> = config.pools.iter().map(|pool| pool.quota).collect();
    assert_eq!(parts, [70, 30]);

    let said = problem(&quotas("quota", &["quota = 70", "quota = 20"]));
    assert!(said.contains("add up to 90 %, expected 100 %"), "{said}");
    let said = problem(&quotas("quota", &["quota = 100", ""]));
    assert!(said.contains("pool[1].quota: is missing"), "{said}");
    let said = problem(&quotas("quota", &["quota = 0", "quota = 100"]));
    assert!(said.contains("from 1 to 100"), "{said}");
    let said = problem(&quotas("failover", &["quota = 100"]));
    assert!(
        said.contains("only goes with [upstream] strategy"),
        "{said}"
    );
}

#[test]
#[cfg(feature = "sv2")]
fn a_v2_pool_is_known_by_its_key() {
    let pool = first(&v2(""));
    assert_eq!(
        pool.url
            .authority_key()
            .map(|key| key.to_string())
            .as_deref(),
        Some(KEY)
    );
    assert_eq!(
        pool.terms,
        Terms::V2 {
            channel: Channel::Extended
        }
    );
    let standard = first(&v2("channel = \"standard\""));
    assert_eq!(
        standard.terms,
        Terms::V2 {
            channel: Channel::Standard
        }
    );
    let keyless = "url = \"stratum2+tcp://p.example:1\"\nuser = \"u\"\n";
    refused(&pool_text(keyless), "url", "names no authority key");
    let anybody = parse(&pool_text(&format!("{keyless}trust_any_key = true"))).unwrap();
    assert!(anybody.warnings()[0].contains("can take the hashes"));
    refused(&v2("trust_any_key = true"), "trust_any_key", "contradicts");
    refused(
        &v2("channel = \"group\""),
        "channel",
        "extended or standard",
    );
    refused(&v2("password = \"x\""), "password", "has no password");
    refused(
        &v2("version_rolling = true"),
        "version_rolling",
        "only for Stratum V1",
    );
    let tls = format!("tls = {{ fingerprint = \"{FINGERPRINT}\" }}");
    refused(&v2(&tls), "tls", "brings its own encryption");
}

#[cfg(feature = "sv2")]
fn pool_text(lines: &str) -> String {
    pool(lines)
}

#[test]
fn keys_of_other_protocols_are_refused_by_name() {
    refused(
        &v1("channel = \"extended\""),
        "channel",
        "only for Stratum V2",
    );
    refused(
        &v1("trust_any_key = true"),
        "trust_any_key",
        "only for Stratum V2",
    );
    refused(
        &v1("cookie_file = \"/c\""),
        "cookie_file",
        "only for solo mining",
    );
    refused(
        &v1("coinbase_tag = \"/t/\""),
        "coinbase_tag",
        "only for solo mining",
    );
    let tls = format!("tls = {{ fingerprint = \"{FINGERPRINT}\" }}");
    refused(&v1(&tls), "tls", "only goes with a URL of stratum+tls://");
}

#[test]
#[cfg(feature = "tls")]
fn servers_are_known_by_authorities_or_by_their_certificate() {
    let text = |lines: &str| {
        pool(&format!(
            "url = \"stratum+tls://p.example:1\"\nuser = \"u\"\n{lines}"
        ))
    };
    assert_eq!(first(&text("")).tls, Trust::System);
    let fake = Fake::default()
        .file("/etc/hashwright/ca.pem", PEM)
        .file("/etc/hashwright/empty.pem", "nothing");
    let config = fake.parse(&text("tls = { ca = \"ca.pem\" }")).unwrap();
    let pem = PEM.as_bytes().to_vec();
    assert_eq!(config.pools[0].tls, Trust::Authority { pem });
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852B855";
    let colons: Vec<_> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| str::from_utf8(pair).unwrap())
        .collect();
    for digits in [hex.to_owned(), colons.join(":")] {
        let Trust::Fingerprint(fingerprint) =
            first(&text(&format!("tls = {{ fingerprint = \"{digits}\" }}"))).tls
        else {
            panic!("a fingerprint")
        };
        let bytes = fingerprint.as_bytes();
        assert_eq!((bytes[0], bytes[31]), (0xe3, 0x55));
    }
    for (value, words) in [
        (
            "{ ca = \"none.pem\" }",
            "cannot read /etc/hashwright/none.pem",
        ),
        ("{ ca = \"empty.pem\" }", "holds no certificate"),
        ("{ fingerprint = \"abcd\" }", "64 hexadecimal digits"),
        (
            "{ fingerprint = \"+3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }",
            "64 hex",
        ),
        ("{}", "must be { ca"),
        (
            "{ ca = \"ca.pem\", fingerprint = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }",
            "must be { ca",
        ),
    ] {
        let error = fake
            .parse(&text(&format!("tls = {value}")))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("one problem") && error.contains(words),
            "{error}"
        );
    }
}

#[test]
fn proxies_are_shared_unless_a_pool_has_its_own() {
    let text = format!(
        "[upstream]\nproxy = \"socks5://127.0.0.1:9050\"\nproxy_user = \"me\"\nproxy_password = \
         \"hunter2\"\n{}[[pool]]\nurl = \"p:1\"\nuser = \"u\"\nproxy = \"none\"\n[[pool]]\nurl = \
         \"p:1\"\nuser = \"u\"\nproxy = \"socks5h://[::1]:1080\"\n",
        v1("")
    );
    let config = parse(&text).unwrap();
    let [shared, direct, own] = &config.pools[..] else {
        panic!("three pools")
    };
    let proxy = shared.proxy.as_ref().unwrap();
    assert_eq!((proxy.host(), proxy.port()), ("127.0.0.1", 9050));
    assert_eq!(direct.proxy, None);
    let proxy = own.proxy.as_ref().unwrap();
    assert_eq!((proxy.host(), proxy.port()), ("::1", 1080));
    assert!(!format!("{config:?}").contains("hunter2"));

    refused(&v1("proxy = \"http://p:1\""), "proxy", "is no SOCKS5 proxy");
    refused(
        &v1("proxy = \"127.0.0.1:9050\""),
        "proxy",
        "is no SOCKS5 proxy",
    );
    refused(
        &v1("proxy = \"socks5://u:hunter2@p:1\""),
        "proxy",
        "settings of their own",
    );
    refused(
        &v1("proxy = \"socks5://p\""),
        "proxy",
        "names no host and port of a proxy",
    );
    refused(
        &v1("proxy_user = \"u\""),
        "proxy_user",
        "only goes with proxy",
    );
    refused(
        &v1("proxy = \"socks5://p:1\"\nproxy_user = \"u\""),
        "proxy_user",
        "together with proxy_password",
    );
}

#[test]
fn whom_a_pool_pays_is_what_the_owner_says_or_the_users_address() {
    let user = format!("url = \"p:1\"\nuser = \"{MAIN}.rack\"\n");
    let pool_of = |lines: &str| first(&pool(&format!("{user}{lines}"))).payout;
    let expected = pool_of("");
    assert_eq!(expected.addresses[0].to_string(), MAIN);
    assert!(!expected.named && expected.min_percent.is_none());
    let ruled = pool_of("min_payout_percent = 97.5");
    assert_eq!(ruled.min_percent.map(|percent| percent.get()), Some(97.5));
    let named = pool_of(&format!("payout_address = \"{TEST}\""));
    assert_eq!(
        (named.addresses[0].to_string().as_str(), named.named),
        (TEST, true)
    );
    assert!(first(&v1("")).payout.addresses.is_empty());
}

#[test]
fn addresses_and_rules_that_mean_nothing_are_refused() {
    refused(
        &v1("min_payout_percent = 90"),
        "min_payout_percent",
        "needs payout_address",
    );
    refused(
        &v1(&format!(
            "payout_address = \"{MAIN}\"\nmin_payout_percent = 101"
        )),
        "min_payout_percent",
        "from 0 to 100",
    );
    refused(
        &v1("payout_address = \"bc1qnothing\""),
        "payout_address",
        "is not a Bitcoin address",
    );
    refused(
        &v1(&format!("payout_address = \"{TEST}\"\nnetwork = \"main\"")),
        "payout_address",
        "is an address of the test networks",
    );
    refused(
        &v1("network = \"mainnet\""),
        "network",
        "write main, testnet",
    );
    // One mistake is told once.
    refused(
        &v1("payout_address = \"bc1qnothing\"\nmin_payout_percent = 90"),
        "payout_address",
        "is not a Bitcoin address",
    );
}

#[test]
#[cfg(feature = "sv2")]
fn a_standard_channel_cannot_be_held_to_a_rule() {
    let text = v2(&format!(
        "channel = \"standard\"\npayout_address = \"{MAIN}\"\nmin_payout_percent = 90"
    ));
    refused(
        &text,
        "min_payout_percent",
        "does not show what its jobs pay",
    );
}

#[test]
#[cfg(feature = "solo")]
fn a_node_wants_a_login_and_somebody_who_is_paid() {
    let paid = format!("payout_address = \"{TEST}\"\n");
    let text = node(&format!("cookie_file = \"~/.bitcoin/.cookie\"\n{paid}"));
    let config = Fake::default()
        .variable("HOME", "/home/me")
        .parse(&text)
        .unwrap();
    let pool = &config.pools[0];
    assert_eq!(pool.url.port(), 8332);
    assert_eq!(pool.account(), TEST);
    let Terms::Solo {
        cookie,
        address,
        tag,
    } = &pool.terms
    else {
        panic!("a node")
    };
    assert_eq!(
        cookie.as_deref(),
        Some(Path::new("/home/me/.bitcoin/.cookie"))
    );
    assert_eq!(
        (address.to_string().as_str(), tag.as_str()),
        (TEST, "/hashwright/")
    );
    refused(&text, "cookie_file", "HOME is not set");

    let login = "user = \"rpc\"\npassword = \"hunter2\"\n";
    let pool = first(&node(&format!(
        "{login}{paid}coinbase_tag = \"/me/\"\nnetwork = \"signet\""
    )));
    let Terms::Solo {
        cookie: None, tag, ..
    } = &pool.terms
    else {
        panic!("without a cookie")
    };
    assert_eq!((tag.as_str(), pool.user.as_str()), ("/me/", "rpc"));
    assert_eq!(pool.network, Some(payout::Network::Signet));

    refused(&node(login), "payout_address", "who is paid");
    refused(&node(&paid), "cookie_file", "a node wants to know who asks");
    let both = node(&format!("{login}{paid}cookie_file = \"/c\""));
    refused(&both, "cookie_file", "one or the other");
    refused(
        &node(&format!("user = \"rpc\"\n{paid}")),
        "cookie_file",
        "user and password",
    );
    let long = node(&format!(
        "{login}{paid}coinbase_tag = \"{}\"",
        "x".repeat(65)
    ));
    refused(&long, "coinbase_tag", "at most 64");
    let wrong = node(&format!("{login}{paid}network = \"regtest\""));
    refused(&wrong, "payout_address", "the network is regtest");
    let v1 = node(&format!("{login}{paid}suggest_difficulty = 1"));
    refused(&v1, "suggest_difficulty", "only for Stratum V1");
}

#[test]
#[cfg(feature = "solo")]
fn a_password_that_goes_over_a_network_is_worth_a_warning() {
    let text = |host: &str| {
        pool(&format!(
            "url = \"http://{host}:8332\"\nuser = \"u\"\npassword = \"p\"\npayout_address = \"{MAIN}\""
        ))
    };
    let warns = |host| {
        parse(&text(host))
            .unwrap()
            .warnings()
            .iter()
            .any(|w| w.contains("unencrypted"))
    };
    assert!(warns("node.example") && warns("192.168.1.5"));
    assert!(!warns("127.0.0.1") && !warns("[::1]") && !warns("localhost"));
}

#[test]
#[cfg(not(all(feature = "sv2", feature = "tls", feature = "solo")))]
fn what_this_build_cannot_speak_is_refused_with_the_feature_that_would() {
    for (url, built, feature) in [
        ("stratum+tls://p:1", cfg!(feature = "tls"), "tls"),
        ("stratum2+tcp://p:1", cfg!(feature = "sv2"), "sv2"),
        ("http://p:1", cfg!(feature = "solo"), "solo"),
    ] {
        if built {
            continue;
        }
        let said = problems(&pool(&format!("url = \"{url}\"\nuser = \"u\"")));
        let words = format!("build with --features {feature}");
        assert!(
            said.iter().any(|problem| problem.message.contains(&words)),
            "{said:?}"
        );
    }
}
