//! Everything about a profile that can be judged without the board. Each finding names the
//! field, its value and the bound that it breaks.

mod control;
mod cooling;
mod devices;
mod physics;

use bm13xx::{ChainPlan, PlanError, RAMP_STEP};

use crate::bounds::{self, BOARD_MAX_C, CHIP_MAX_C, POWER_MAX_W, REGULATOR_MAX_C};
use crate::chip;
use crate::error::Problem;
use crate::schema::{Claim, DeviceKind, Profile, VoltageScope};

/// Bits that one nonce report takes on the wire: 11 bytes of 10 bits.
const NONCE_REPORT_BITS: f64 = 110.0;

/// Most of the line that nonce reports may take; the rest is for reads and retries.
const LINE_SHARE_MAX: f64 = 0.5;

/// Everything wrong with `profile`, in the order of the file.
pub(crate) fn problems(profile: &Profile) -> Vec<Problem> {
    let mut check = Check(Vec::new());
    identity(profile, &mut check);
    chain(profile, &mut check);
    frequency(profile, &mut check);
    voltage(profile, &mut check);
    limits(profile, &mut check);
    nominal(profile, &mut check);
    cooling::curve(profile, &mut check);
    cooling::cooling(profile, &mut check);
    control::bridge(profile, &mut check);
    control::linux(profile, &mut check);
    simulation(profile, &mut check);
    physics::physics(profile, &mut check);
    devices::devices(profile, &mut check);
    evidence(profile, &mut check);
    check.0
}

struct Check(Vec<Problem>);

impl Check {
    /// Records a problem unless `value` is within `range`.
    fn within(
        &mut self,
        range: std::ops::RangeInclusive<f64>,
        field: impl Into<String>,
        value: f64,
        unit: &str,
    ) {
        let good = range.contains(&value);
        self.require(good, field, value, || {
            let unit = if unit.is_empty() {
                String::new()
            } else {
                format!(" {unit}")
            };
            format!("must be {} to {}{unit}", range.start(), range.end())
        });
    }

    /// Records a problem unless `good`; a comparison with NaN is never good.
    fn require(
        &mut self,
        good: bool,
        field: impl Into<String>,
        value: impl ToString,
        reason: impl FnOnce() -> String,
    ) {
        if !good {
            self.0.push(Problem {
                field: field.into(),
                value: value.to_string(),
                reason: reason(),
            });
        }
    }
}

fn identity(profile: &Profile, check: &mut Check) {
    let name = &profile.name;
    check.require(
        is_slug(name) && name.len() <= 40,
        "name",
        quoted(name),
        || "must be 1 to 40 lower-case letters, digits and dashes".into(),
    );
    let model = &profile.model;
    check.require(is_text(model, 60), "model", quoted(model), || {
        "must be 1 to 60 printable characters".into()
    });
    check.require(!profile.control.is_empty(), "control", "[]", || {
        "name at least one of bridge, linux, external".into()
    });
}

fn chain(profile: &Profile, check: &mut Check) {
    let c = &profile.chain;
    let plan = ChainPlan::new(profile.chain_config(profile.frequency.default_mhz));
    if let Err(error @ PlanError::Chips { .. }) = plan {
        check.require(false, "chain.chips", c.chips, || error.to_string());
    }
    check.require(c.domains >= 1, "chain.domains", c.domains, || {
        "a board has at least one voltage domain".into()
    });
    let product = u32::from(c.domains) * u32::from(c.chips_per_domain);
    check.require(
        product == u32::from(c.chips),
        "chain.chips_per_domain",
        c.chips_per_domain,
        || {
            format!(
                "{} domains of {} chips make {product} chips, not the {} of chain.chips",
                c.domains, c.chips_per_domain, c.chips
            )
        },
    );
    check.require(
        (1..=16).contains(&c.boards_per_machine),
        "chain.boards_per_machine",
        c.boards_per_machine,
        || "a machine has 1 to 16 boards".into(),
    );
    if let Err(reason) = chip::check_baud(c.chip, c.baud) {
        check.require(false, "chain.baud", c.baud, || reason);
    }
    let ticket = c.ticket_difficulty;
    check.require(
        ticket.is_power_of_two(),
        "chain.ticket_difficulty",
        ticket,
        || "chips can only filter by powers of two".into(),
    );
    let nonces_per_s =
        profile.hashrate_hps(profile.frequency.max_mhz) / (f64::from(ticket) * 2f64.powi(32));
    let share = nonces_per_s * NONCE_REPORT_BITS / f64::from(c.baud);
    check.require(
        ticket == 0 || c.baud == 0 || share <= LINE_SHARE_MAX,
        "chain.ticket_difficulty",
        ticket,
        || {
            format!(
                "{nonces_per_s:.0} nonces per second would take {:.0} % of a line of {} baud \
                 (at most {:.0} %); raise it",
                share * 100.0,
                c.baud,
                LINE_SHARE_MAX * 100.0
            )
        },
    );
    check.require(
        (5..=10_000).contains(&c.job_interval_ms),
        "chain.job_interval_ms",
        c.job_interval_ms,
        || "must be 5 to 10000 ms".into(),
    );
}

fn frequency(profile: &Profile, check: &mut Check) {
    let f = &profile.frequency;
    let kind = profile.chain.chip;
    let highest = bounds::of(kind).max_mhz;
    check.require(f.max_mhz <= highest, "frequency.max_mhz", f.max_mhz, || {
        format!("at most {highest} MHz is published for a {kind}; lower it")
    });
    check.require(
        f.min_mhz <= f.max_mhz,
        "frequency.min_mhz",
        f.min_mhz,
        || format!("is above frequency.max_mhz = {}", f.max_mhz),
    );
    check.require(
        (f.min_mhz..=f.max_mhz).contains(&f.default_mhz),
        "frequency.default_mhz",
        f.default_mhz,
        || {
            format!(
                "is outside min_mhz to max_mhz, {} to {}",
                f.min_mhz, f.max_mhz
            )
        },
    );
    check.require(
        f.start_mhz <= f.min_mhz,
        "frequency.start_mhz",
        f.start_mhz,
        || format!("the ramp must start at or below min_mhz = {}", f.min_mhz),
    );
    check.require(
        f.ramp_step_mhz == RAMP_STEP.get(),
        "frequency.ramp_step_mhz",
        f.ramp_step_mhz,
        || format!("the driver ramps in steps of {} MHz", RAMP_STEP.get()),
    );
    check.require(
        (10..=1000).contains(&f.ramp_interval_ms),
        "frequency.ramp_interval_ms",
        f.ramp_interval_ms,
        || "must be 10 to 1000 ms; firmware in the field uses 100".into(),
    );
    let single = [
        ("frequency.min_mhz", f.min_mhz),
        ("frequency.default_mhz", f.default_mhz),
        ("frequency.max_mhz", f.max_mhz),
        ("frequency.start_mhz", f.start_mhz),
    ];
    let offered = f
        .offered_mhz
        .iter()
        .map(|mhz| ("frequency.offered_mhz", *mhz));
    for (field, mhz) in single.into_iter().chain(offered) {
        if let Err(reason) = chip::check_clock(kind, mhz) {
            check.require(false, field, mhz, || reason);
        }
    }
    for mhz in &f.offered_mhz {
        check.require(
            (f.min_mhz..=f.max_mhz).contains(mhz),
            "frequency.offered_mhz",
            mhz,
            || {
                format!(
                    "is outside min_mhz to max_mhz, {} to {}",
                    f.min_mhz, f.max_mhz
                )
            },
        );
    }
    for pair in f.offered_mhz.windows(2) {
        check.require(pair[0] < pair[1], "frequency.offered_mhz", pair[1], || {
            format!("follows {}, but the list must ascend", pair[0])
        });
    }
}

fn voltage(profile: &Profile, check: &mut Check) {
    let v = &profile.voltage;
    let kind = profile.chain.chip;
    let highest = bounds::of(kind).max_mv;
    let per_chip = profile.chip_mv(v.max_mv);
    check.require(
        per_chip <= f64::from(highest),
        "voltage.max_mv",
        v.max_mv,
        || match v.scope {
            VoltageScope::Chip => format!("a {kind} must not get more than {highest} mV; lower it"),
            VoltageScope::Board | VoltageScope::Psu => format!(
                "is {per_chip:.0} mV for each of {} domains in series, and a {kind} must not get \
                 more than {highest} mV; lower it to {} or less",
                profile.chain.domains,
                highest * u32::from(profile.chain.domains)
            ),
        },
    );
    check.require(v.min_mv > 0, "voltage.min_mv", v.min_mv, || {
        "must be above 0; the board is switched off by other means".into()
    });
    check.require(v.min_mv <= v.max_mv, "voltage.min_mv", v.min_mv, || {
        format!("is above voltage.max_mv = {}", v.max_mv)
    });
    let range = v.min_mv..=v.max_mv;
    let outside = || format!("is outside min_mv to max_mv, {} to {}", v.min_mv, v.max_mv);
    let default_good = range.contains(&v.default_mv);
    check.require(default_good, "voltage.default_mv", v.default_mv, outside);
    for mv in &v.offered_mv {
        check.require(range.contains(mv), "voltage.offered_mv", mv, outside);
    }
    for pair in v.offered_mv.windows(2) {
        check.require(pair[0] < pair[1], "voltage.offered_mv", pair[1], || {
            format!("follows {}, but the list must ascend", pair[0])
        });
    }
    let regulated = has(profile, DeviceKind::Regulator);
    check.require(
        v.scope == VoltageScope::Psu || regulated || profile.devices.is_empty(),
        "voltage.scope",
        quoted(if v.scope == VoltageScope::Chip {
            "chip"
        } else {
            "board"
        }),
        || "no [[device]] of kind \"regulator\" is there to set it; add it or use \"psu\"".into(),
    );
}

fn limits(profile: &Profile, check: &mut Check) {
    let l = &profile.limits;
    check.require(
        l.power_w > 0.0 && l.power_w <= POWER_MAX_W,
        "limits.power_w",
        l.power_w,
        || format!("must be above 0 and at most {POWER_MAX_W} W for one board"),
    );
    let temperatures = [
        ("limits.chip_c", Some(l.chip_c), CHIP_MAX_C),
        ("limits.regulator_c", l.regulator_c, REGULATOR_MAX_C),
        ("limits.board_c", l.board_c, BOARD_MAX_C),
    ];
    for (field, value, highest) in temperatures {
        if let Some(celsius) = value {
            check.require((40.0..=highest).contains(&celsius), field, celsius, || {
                format!("must be 40 to {highest} °C")
            });
        }
    }
    let on_board = profile.voltage.scope != VoltageScope::Psu;
    let needs = [
        ("limits.regulator_c", on_board, l.regulator_c.is_some()),
        ("limits.input_min_mv", on_board, l.input_min_mv.is_some()),
        ("limits.input_max_mv", on_board, l.input_max_mv.is_some()),
        ("limits.board_c", !on_board, l.board_c.is_some()),
    ];
    for (field, needed, present) in needs {
        check.require(!needed || present, field, "missing", || {
            if on_board {
                "required, because the board has a regulator of its own".into()
            } else {
                "required, because the power supply feeds the board directly".into()
            }
        });
    }
    if let (Some(min), Some(max)) = (l.input_min_mv, l.input_max_mv) {
        check.require(
            min < max && min >= 3000 && max <= 60_000,
            "limits.input_min_mv",
            min,
            || format!("to input_max_mv = {max} must be a rising range within 3000 to 60000 mV"),
        );
        let rail = profile.rail_mv(profile.voltage.max_mv);
        check.require(!on_board || rail < min, "limits.input_min_mv", min, || {
            format!("a step-down regulator cannot make {rail} mV (voltage.max_mv) from it")
        });
    }
    if let Some(amps) = l.current_a {
        check.require(
            amps > 0.0 && amps <= 500.0,
            "limits.current_a",
            amps,
            || "must be above 0 and at most 500 A".into(),
        );
    }
}

fn nominal(profile: &Profile, check: &mut Check) {
    let n = &profile.nominal;
    let computed = profile.hashrate_hps(profile.frequency.default_mhz) / 1e12;
    check.require(
        (n.hashrate_ths / computed - 1.0).abs() <= 0.1,
        "nominal.hashrate_ths",
        n.hashrate_ths,
        || {
            format!(
                "{} x {} at {} MHz make {computed:.3} TH/s; more than 10 % apart",
                profile.chain.chips, profile.chain.chip, profile.frequency.default_mhz
            )
        },
    );
    if let Some(efficiency) = n.efficiency_j_per_th {
        let power = efficiency * n.hashrate_ths;
        check.require(
            efficiency > 0.0 && power <= profile.limits.power_w,
            "nominal.efficiency_j_per_th",
            efficiency,
            || {
                format!(
                    "{power:.0} W at the default settings, but limits.power_w = {}",
                    profile.limits.power_w
                )
            },
        );
    }
}

fn simulation(profile: &Profile, check: &mut Check) {
    let (bits, most) = (profile.simulation.scale_bits, profile.max_scale_bits());
    check.require(bits <= most, "simulation.scale_bits", bits, || {
        format!("at most {most}; a simulated chip needs one zero bit of its ticket at least")
    });
}

fn evidence(profile: &Profile, check: &mut Check) {
    let e = &profile.evidence;
    let always = [
        ("chain", &e.chain),
        ("frequency", &e.frequency),
        ("voltage", &e.voltage),
        ("limits", &e.limits),
        ("nominal", &e.nominal),
        ("devices", &e.devices),
        ("cooling", &e.cooling),
    ];
    let optional = [
        ("curve", "[[curve]]", !profile.curve.is_empty(), &e.curve),
        ("bridge", "[bridge]", profile.bridge.is_some(), &e.bridge),
        ("linux", "[linux]", profile.linux.is_some(), &e.linux),
        (
            "physics",
            "[simulation.physics]",
            profile.simulation.physics.is_some(),
            &e.physics,
        ),
    ];
    for (claim, table, there, found) in optional {
        check.require(
            !there || found.is_some(),
            format!("evidence.{claim}"),
            "missing",
            || format!("required, because there is a {table}; say where its numbers come from"),
        );
        check.require(
            there || found.is_none(),
            format!("evidence.{claim}"),
            "present",
            || format!("there is no {table} that it could speak of; remove it"),
        );
    }
    let present = optional.iter().filter_map(|(claim, _, _, found)| {
        let found: Option<&Claim> = found.as_ref();
        Some((*claim, found?))
    });
    for (table, claim) in always.into_iter().chain(present) {
        let good = is_text(&claim.source, 400);
        let field = format!("evidence.{table}.source");
        check.require(good, field, quoted(&claim.source), || {
            "say in 1 to 400 characters where the numbers come from".into()
        });
    }
}

/// The revisions to look at one by one; one nameless one where the profile names none.
fn revisions(profile: &Profile) -> impl Iterator<Item = Option<&str>> {
    let nameless = profile.revisions.is_empty().then_some(None);
    let named = profile.revisions.iter().map(|name| Some(name.as_str()));
    nameless.into_iter().chain(named)
}

/// What is only there on some revisions has to name revisions that there are.
fn known_revisions(profile: &Profile, field: &str, named: &[String], check: &mut Check) {
    for revision in named {
        let known = profile.revisions.contains(revision);
        check.require(known, field, quoted(revision), || {
            format!(
                "is not among the profile's revisions {:?}",
                profile.revisions
            )
        });
    }
}

fn has(profile: &Profile, kind: DeviceKind) -> bool {
    profile.devices.iter().any(|device| device.kind == kind)
}

fn is_slug(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(good)
}

fn is_text(text: &str, longest: usize) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= longest
        && !text.chars().any(char::is_control)
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
