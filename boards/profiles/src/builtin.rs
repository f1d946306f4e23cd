//! The profiles that are compiled in.

/// Name and text of every built-in profile, in the order in which people look for them.
pub(crate) const BUILTIN: &[(&str, &str)] = &[
    ("bitaxe-max", include_str!("../bitaxe-max.toml")),
    ("bitaxe-ultra", include_str!("../bitaxe-ultra.toml")),
    ("bitaxe-supra", include_str!("../bitaxe-supra.toml")),
    ("bitaxe-gamma", include_str!("../bitaxe-gamma.toml")),
    ("bitaxe-gt", include_str!("../bitaxe-gt.toml")),
    ("bitaxe-hex", include_str!("../bitaxe-hex.toml")),
    ("emberone00", include_str!("../emberone00.toml")),
    ("nerdqaxe-pp", include_str!("../nerdqaxe-pp.toml")),
    ("s19j-pro", include_str!("../s19j-pro.toml")),
    ("s19-xp", include_str!("../s19-xp.toml")),
    ("s19k-pro", include_str!("../s19k-pro.toml")),
    ("s21", include_str!("../s21.toml")),
    ("s21-pro", include_str!("../s21-pro.toml")),
];
