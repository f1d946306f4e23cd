//! What a pool writes about itself into the coinbase's input script.
//!
//! There is no standard: pools put text between counters, times and extranonces. So the text is
//! what looks like text, and a short list of well-known marks says whose it is.

/// The readable part of a coinbase's input script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Runs of readable characters in order, at most 200 characters together. Short ones may be
    /// chance: times and counters are sometimes readable.
    pub texts: Vec<String>,
    /// The pool or pool software that the marks are known of. Anybody can write them.
    pub pool: Option<&'static str>,
}

impl Tag {
    /// All texts in one line; empty if there are none.
    #[must_use]
    pub fn line(&self) -> String {
        self.texts.join(" ")
    }
}

/// Fewest characters that are taken for text.
pub(crate) const SHORTEST: usize = 4;

/// Most characters that are kept; the script itself may have 100 bytes.
const LONGEST: usize = 200;

/// Marks that pools and pool programs are known by in blocks, in lower case; the more special first.
const KNOWN: [(&str, &str); 31] = [
    ("foundry usa", "Foundry USA"),
    ("antpool", "AntPool"),
    ("viabtc", "ViaBTC"),
    ("f2pool", "F2Pool"),
    ("七彩神仙鱼", "F2Pool"),
    ("🐟", "F2Pool"),
    ("/slush/", "Braiins Pool"),
    ("braiins", "Braiins Pool"),
    ("binance", "Binance Pool"),
    ("mara pool", "MARA Pool"),
    ("mara made in usa", "MARA Pool"),
    ("spiderpool", "SpiderPool"),
    ("luxor", "Luxor"),
    ("sbicrypto", "SBI Crypto"),
    ("ocean.xyz", "OCEAN"),
    ("secpool", "SECPOOL"),
    ("whitepool", "WhitePool"),
    ("poolin", "Poolin"),
    ("btc.com", "BTC.com"),
    ("/ultimus", "ULTIMUSPOOL"),
    ("nicehash", "NiceHash"),
    ("kano", "KanoPool"),
    ("emcd", "EMCD"),
    ("mining-dutch", "Mining-Dutch"),
    ("solopool", "SoloPool"),
    ("solo.ckpool", "Solo CKPool"),
    ("public-pool", "Public Pool"),
    ("public pool", "Public Pool"),
    ("p2pool", "P2Pool"),
    ("datum", "DATUM"),
    ("ckpool", "ckpool"),
];

/// Start of a merged-mining commitment; a hash, a size and a nonce follow.
const MERGED_MINING: [u8; 4] = [0xfa, 0xbe, 0x6d, 0x6d];
const MERGED_MINING_LENGTH: usize = 4 + 32 + 4 + 4;

/// The readable parts of several stretches of bytes.
pub(crate) fn read<'a>(stretches: impl Iterator<Item = &'a [u8]>) -> Tag {
    let mut texts = Vec::new();
    let mut room = LONGEST;
    for stretch in stretches {
        for text in without_merged_mining(stretch).flat_map(readable) {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            if !text.is_empty() {
                texts.push(text);
            }
        }
    }
    let line = texts.join(" ").to_lowercase();
    let pool = KNOWN
        .iter()
        .find(|(mark, _)| line.contains(mark))
        .map(|(_, pool)| *pool);
    Tag { texts, pool }
}

/// Runs of readable characters that are long enough to be meant.
pub(crate) fn readable(bytes: &[u8]) -> Vec<String> {
    let mut runs = vec![String::new()];
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if is_readable(letter) {
                if let Some(run) = runs.last_mut() {
                    run.push(letter);
                }
            } else {
                runs.push(String::new());
            }
        }
        if !chunk.invalid().is_empty() {
            runs.push(String::new());
        }
    }
    runs.iter()
        .map(|run| run.trim())
        .filter(|run| {
            (run.len() >= SHORTEST && run.contains(char::is_alphanumeric)) || !run.is_ascii()
        })
        .map(str::to_owned)
        .collect()
}

/// Printable ASCII, letters of scripts that take three bytes or more, and pictures. Accented
/// Latin and its neighbours take two bytes, which chance produces often.
fn is_readable(letter: char) -> bool {
    letter == ' '
        || letter.is_ascii_graphic()
        || (letter > '\u{7ff}' && letter.is_alphanumeric())
        || ('\u{1f300}'..'\u{1fb00}').contains(&letter)
}

fn without_merged_mining(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let at = bytes
        .windows(MERGED_MINING.len())
        .position(|window| window == MERGED_MINING);
    let (before, after) = match at {
        Some(at) => (
            &bytes[..at],
            &bytes[bytes.len().min(at + MERGED_MINING_LENGTH)..],
        ),
        None => (bytes, &bytes[bytes.len()..]),
    };
    [before, after].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(bytes: &[u8]) -> Tag {
        read(std::iter::once(bytes))
    }

    #[test]
    fn text_between_counters_is_found() {
        let tag = tag(b"\x04\x67\x01\x02\x03/solo.ckpool.org/\x00\x80\xffMined by me");
        assert_eq!(tag.texts, ["/solo.ckpool.org/", "Mined by me"]);
        assert_eq!(tag.pool, Some("Solo CKPool"));
        assert_eq!(tag.line(), "/solo.ckpool.org/ Mined by me");
    }

    #[test]
    fn text_beyond_ascii_is_kept_and_control_letters_are_not() {
        let fish = tag("\u{1}🐟七彩神仙鱼\u{202e}\u{1b}[31m evil".as_bytes());
        assert_eq!(fish.texts, ["🐟七彩神仙鱼", "[31m evil"]);
        assert_eq!(fish.pool, Some("F2Pool"));
    }

    #[test]
    fn a_merged_mining_hash_is_no_text() {
        let mut script = b"/pool/".to_vec();
        script.extend(MERGED_MINING);
        script.extend([b'x'; 40]);
        script.extend(b"/tail/");
        assert_eq!(tag(&script).texts, ["/pool/", "/tail/"]);
        // Cut off in the middle.
        assert_eq!(tag(&script[..20]).texts, ["/pool/"]);
    }

    #[test]
    fn the_length_is_bounded() {
        assert_eq!(tag(&[b'a'; 5000]).line().len(), LONGEST);
    }
}
