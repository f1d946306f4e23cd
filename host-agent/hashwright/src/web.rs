//! The dashboard's files, which are part of the program: what stands at `/` and below `/ui/`. They are
//! compressed once, when they are first asked for, and carry a tag of their content, so that a browser that has them
//! is told so in a few bytes and one that has those of an older agent never mixes them with new ones.

use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

/// What a browser may do with the page: everything comes from here, nothing is inline, nobody frames it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the dashboard.
#[derive(Clone, Debug)]
pub struct Asset {
    /// For `Content-Type`.
    pub content_type: &'static str,
    /// For `ETag`: a weak tag, because it is the same for both forms.
    pub etag: HeaderValue,
    /// The content, compressed with gzip.
    pub gzip: Bytes,
    /// The content as it is.
    pub plain: &'static [u8],
}

/// The file at this path of the URL, if the dashboard has one there.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let at = FILES.iter().position(|file| file.0 == path)?;
    let (path, plain) = FILES[at];
    Some(PACKED[at].get_or_init(|| pack(path, plain)).clone())
}

/// The answer to a GET of this path, if the dashboard has something there. For HEAD, leave the body out.
#[must_use]
pub fn answer(path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let asset = asset(path)?;
    let mut response = Response::new(Bytes::new());
    let out = response.headers_mut();
    // Kept, but asked for each time: a new agent's page shows at once.
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    out.insert(ETAG, asset.etag.clone());
    if has(headers, IF_NONE_MATCH, |tag| {
        tag == "*" || asset.etag.to_str().is_ok_and(|etag| is_same_tag(tag, etag))
    }) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    out.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let takes_gzip = has(headers, ACCEPT_ENCODING, |offer| {
        let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.trim().parse().is_ok_and(|q: f32| q == 0.0));
        matches!(coding.trim(), "gzip" | "*") && !refused
    });
    *response.body_mut() = if takes_gzip {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        asset.gzip
    } else {
        Bytes::from_static(asset.plain)
    };
    Some(response)
}

/// The files as they were compiled in, by their path in the URL: the page, and the named ones below `/ui/`.
macro_rules! files {
    ($($name:literal)*) => {
        static FILES: &[(&str, &[u8])] = &[
            ("/", include_bytes!("../dashboard/index.html")),
            $((concat!("/ui/", $name), include_bytes!(concat!("../dashboard/ui/", $name))),)*
        ];
    };
}

files! {
    "access.js"
    "app.css"
    "boards.js"
    "change.js"
    "chart.js"
    "chips.js"
    "cooling.js"
    "curve.js"
    "events.js"
    "format.js"
    "icon.svg"
    "lib.js"
    "main.js"
    "manifest.webmanifest"
    "overview.js"
    "patch.js"
    "pools.js"
    "rpc.js"
    "store.js"
    "system.js"
    "theme.js"
    "trail.js"
    "tuner.js"
    "vendor/LICENCES.txt"
    "vendor/hooks.js"
    "vendor/htm.js"
    "vendor/preact.js"
    "vendor/uplot.css"
    "vendor/uplot.js"
    "widgets.js"
}

/// The same, each packed when it is first asked for.
static PACKED: LazyLock<Vec<OnceLock<Asset>>> =
    LazyLock::new(|| FILES.iter().map(|_| OnceLock::new()).collect());

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("html", |(_, kind)| kind) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

fn pack(path: &str, plain: &'static [u8]) -> Asset {
    let digest = Sha256::digest(plain);
    let tag: String = digest[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Asset {
        content_type: content_type(path),
        // Letters, digits and quotes are always a header value.
        etag: HeaderValue::try_from(format!("W/\"{tag}\""))
            .unwrap_or(HeaderValue::from_static("*")),
        gzip: gzip(plain).into(),
        plain,
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

/// Whether one of the comma-separated items of a header is as wanted.
fn has(
    headers: &HeaderMap,
    name: hyper::header::HeaderName,
    wanted: impl Fn(&str) -> bool,
) -> bool {
    let lines = headers.get_all(name);
    lines
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|item| wanted(item.trim()))
}

/// The weak comparison of RFC 9110.
fn is_same_tag(one: &str, other: &str) -> bool {
    one.trim_start_matches("W/") == other.trim_start_matches("W/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// What the whole dashboard may take on the way to a browser, bytes.
    const MOST: usize = 150 * 1024;

    fn headers(lines: &[(hyper::header::HeaderName, &'static str)]) -> HeaderMap {
        let lines = lines.iter().cloned();
        lines
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    fn header(response: &Response<Bytes>, name: hyper::header::HeaderName) -> &str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn unpacked(gzip: &[u8]) -> Vec<u8> {
        use std::io::Read as _;
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(gzip)
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    #[test]
    fn every_file_of_the_dashboard_is_served() {
        fn names(dir: &Path, below: &str, found: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let name = format!("{below}/{}", entry.file_name().to_str().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    names(&entry.path(), &name, found);
                } else {
                    found.insert(name);
                }
            }
        }
        let mut found = BTreeSet::from(["/".to_owned()]);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard/ui");
        names(&root, "/ui", &mut found);
        let served = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(found, served);
    }

    #[test]
    fn the_whole_dashboard_is_small() {
        let packed = FILES
            .iter()
            .map(|(path, _)| asset(path).unwrap().gzip.len());
        let sum: usize = packed.sum();
        assert!(sum < MOST, "{sum} bytes, at most {MOST}");
    }

    #[test]
    fn files_arrive_as_they_are_in_both_forms() {
        for (path, plain) in FILES {
            let packed = answer(path, &headers(&[(ACCEPT_ENCODING, "br, gzip;q=0.8")])).unwrap();
            assert_eq!(header(&packed, CONTENT_ENCODING), "gzip");
            assert_eq!(unpacked(packed.body()), *plain, "{path}");
            for accepted in [
                headers(&[]),
                headers(&[(ACCEPT_ENCODING, "identity, gzip;q=0")]),
            ] {
                let bare = answer(path, &accepted).unwrap();
                assert_eq!(header(&bare, CONTENT_ENCODING), "");
                assert_eq!(bare.body(), plain, "{path}");
            }
        }
    }

    #[test]
    fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let first = answer("/", &HeaderMap::new()).unwrap();
        let tag = header(&first, ETAG);
        assert_eq!(header(&first, CACHE_CONTROL), "no-cache");
        for held in [tag.to_owned(), format!("\"x\", {tag}"), "*".to_owned()] {
            let mut asks = HeaderMap::new();
            asks.insert(IF_NONE_MATCH, held.parse().unwrap());
            let again = answer("/", &asks).unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
            assert!(again.body().is_empty());
            assert_eq!(header(&again, ETAG), tag);
        }
        let other = answer("/", &headers(&[(IF_NONE_MATCH, "W/\"old\"")])).unwrap();
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn tags_tell_files_apart() {
        let tags: BTreeSet<_> = FILES
            .iter()
            .map(|(path, _)| asset(path).unwrap().etag.as_bytes().to_vec())
            .collect();
        assert_eq!(tags.len(), FILES.len());
    }

    #[test]
    fn kinds_are_as_browsers_want_them() {
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/ui/main.js", "text/javascript; charset=utf-8"),
            ("/ui/app.css", "text/css; charset=utf-8"),
            ("/ui/icon.svg", "image/svg+xml"),
            ("/ui/manifest.webmanifest", "application/manifest+json"),
            ("/ui/vendor/LICENCES.txt", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(asset(path).unwrap().content_type, kind);
        }
    }

    #[test]
    fn nothing_else_is_served() {
        for path in [
            "",
            "/ui",
            "/ui/",
            "/index.html",
            "/ui/../index.html",
            "/ui/main.js/",
            "//",
            "/ui/tests/fake.mjs",
        ] {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_page_keeps_to_its_policy() {
        let page = std::str::from_utf8(asset("/").unwrap().plain).unwrap();
        assert!(!page.contains("<style") && !page.contains("style="));
        for script in page.split("<script").skip(1) {
            assert!(
                script.contains("src=") && script.contains("></script>"),
                "{script}"
            );
        }
        for (path, plain) in FILES.iter().filter(|(path, _)| !path.contains("/vendor/")) {
            let text = std::str::from_utf8(plain).unwrap();
            // The only address in them names SVG and is never asked for.
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !foreign.contains("https://") && !foreign.contains("src=\"//"),
                "{path}"
            );
        }
    }
}
