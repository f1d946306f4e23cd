//! Words by which clients tell makes of miners apart, wherever in a reply they stand. None of them may
//! be said on this port, not even in the true name of a board, or clients expect that make's API.

/// The words, in upper case: those that pyasic and asic-rs look for.
const BRANDS: [&str; 19] = [
    "ANTMINER",
    "AVALON",
    "BOSMINER",
    "BOSER",
    "LUXMINER",
    "VNISH",
    "BTMINER",
    "BITMICRO",
    "GCMINER",
    "BDMINER",
    "MARAFW",
    "KAONSU",
    "HIVEON",
    "RWGLR",
    "INNOMINER",
    "BFGMINER",
    "FLUXOS",
    "KDAMINER",
    "INTCHAINS_QOMO",
];

/// A word of another make in a text, if there is one.
#[must_use]
pub fn brand_in(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    BRANDS.into_iter().find(|brand| upper.contains(brand))
}

/// The text without such words; what is left of `Antminer S19 XP` is `S19 XP`.
pub(super) fn without_brands(text: &str) -> String {
    let mut text = text.to_owned();
    // What stood around a word may make another one, so this ends when there is none.
    while let Some(brand) = brand_in(&text) {
        let upper = text.to_ascii_uppercase();
        let Some(at) = upper.find(brand) else { break };
        text.replace_range(at..at + brand.len(), "");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_model_loses_its_make_only() {
        assert_eq!(without_brands("Antminer S19j Pro"), "S19j Pro");
        assert_eq!(without_brands("Bitaxe Gamma"), "Bitaxe Gamma");
        assert_eq!(without_brands("AntAntminerminer S9"), "S9");
        assert_eq!(without_brands("antMINER"), "");
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_brand(words in proptest::collection::vec(0..BRANDS.len(), 0..6), cut in 0usize..12, noise in ".{0,12}") {
            let mut text = noise.clone();
            for word in words {
                let brand = BRANDS[word];
                let cut = cut.min(brand.len());
                text.push_str(&brand[..cut]);
                text.push_str(brand);
                text.push_str(&brand[cut..]);
            }
            prop_assert_eq!(brand_in(&without_brands(&text)), None);
        }
    }
}
