//! Operating points of real machines as others published them: what a table of simulated points is held against.

/// One published operating point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// Clock, MHz.
    pub mhz: f64,
    /// Output of the supply or regulator, mV over all domains.
    pub mv: f64,
    /// Hashrate of the whole machine, TH/s.
    pub hashrate_ths: f64,
    /// Input power of the whole machine, W, where it is told.
    pub input_w: Option<f64>,
    /// Who says so.
    pub source: &'static str,
}

/// Points for a family by the name of its board profile, in the order of the source; empty where nothing was published.
pub fn published(name: &str) -> &'static [Published] {
    match name {
        "bitaxe-gamma" => &GAMMA,
        "s19-xp" => &S19_XP,
        "s19k-pro" => &S19K_PRO,
        "s19j-pro" => &S19J_PRO,
        "s21" => &S21,
        "s21-pro" => &S21_PRO,
        _ => &[],
    }
}

const fn point(
    source: &'static str,
    mhz: f64,
    mv: f64,
    hashrate_ths: f64,
    watts: f64,
) -> Published {
    Published {
        mhz,
        mv,
        hashrate_ths,
        input_w: if watts > 0.0 { Some(watts) } else { None },
        source,
    }
}

const ONE_GAMMA: &str = "one unit, hourly means";
static GAMMA: [Published; 8] = [
    point(ONE_GAMMA, 525.0, 1150.0, 1.072, 17.02),
    point(ONE_GAMMA, 525.0, 1100.0, 1.059, 15.44),
    point(ONE_GAMMA, 525.0, 1060.0, 1.057, 14.35),
    point(ONE_GAMMA, 525.0, 1000.0, 0.750, 0.0),
    point(ONE_GAMMA, 600.0, 1060.0, 1.176, 16.52),
    point(ONE_GAMMA, 600.0, 1100.0, 1.223, 17.61),
    point(ONE_GAMMA, 625.0, 1060.0, 1.214, 17.42),
    point(ONE_GAMMA, 625.0, 1100.0, 1.266, 18.87),
];

const EPIC: &str = "ePIC preset";
static S19_XP: [Published; 7] = [
    point(EPIC, 272.0, 12_300.0, 80.0, 1700.0),
    point(EPIC, 337.0, 12_500.0, 100.0, 2200.0),
    point(EPIC, 407.0, 12_600.0, 120.0, 2700.0),
    point(EPIC, 482.0, 12_900.0, 142.0, 3350.0),
    point(EPIC, 525.0, 13_100.0, 154.0, 3850.0),
    point(EPIC, 575.0, 13_500.0, 169.0, 4400.0),
    point(
        "one unit under Braiins OS, boards at 462 to 500 MHz",
        483.0,
        12_940.0,
        142.9,
        3137.0,
    ),
];

const LUXOS: &str = "LuxOS profile; its watts are a formula";
static S19K_PRO: [Published; 8] = [
    point(LUXOS, 190.0, 11_880.0, 39.2, 784.0),
    point(LUXOS, 290.0, 11_880.0, 59.8, 1188.0),
    point(LUXOS, 340.0, 12_000.0, 70.2, 1414.0),
    point(LUXOS, 440.0, 12_600.0, 90.8, 1916.0),
    point(LUXOS, 490.0, 12_900.0, 101.1, 2192.0),
    point(LUXOS, 590.0, 13_500.0, 121.8, 2794.0),
    point(LUXOS, 690.0, 14_100.0, 142.4, 3461.0),
    point(LUXOS, 790.0, 14_700.0, 163.1, 4195.0),
];

static S19J_PRO: [Published; 1] = [point("nameplate", 525.0, 13_200.0, 100.0, 3050.0)];
static S21: [Published; 1] = [point(
    "nameplate; the voltage is assumed",
    490.0,
    14_160.0,
    200.0,
    3500.0,
)];
static S21_PRO: [Published; 1] = [point(
    "nameplate; clock and voltage of one unit",
    590.0,
    13_449.0,
    234.0,
    3510.0,
)];
