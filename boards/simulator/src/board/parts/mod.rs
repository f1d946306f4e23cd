//! The parts, one file each, written from data sheets and published notes and not from the drivers that they are to check.

mod apw;
mod at24;
mod ds4432u;
mod emc2101;
mod emc2103;
mod emc2302;
mod fxl6408;
mod ina260;
mod pmbus;
mod sensors;
mod tps53647;
mod tps546;

use super::{
    bus::{Bytewise, Device, Wordwise},
    spec::Part,
};

/// Makes a part; `sensor` is the number of its first temperature input.
pub(super) fn make(part: &Part, sensor: usize) -> Box<dyn Device> {
    match *part {
        Part::Emc2101 {
            fan,
            diode,
            ideality,
            ..
        } => Box::new(Bytewise::new(emc2101::Emc2101::new(
            fan,
            diode.is_some(),
            ideality,
            sensor,
        ))),
        Part::Emc2103 { fan, diodes, .. } => Box::new(Bytewise::new(emc2103::Emc2103::new(
            fan,
            diodes.map(|diode| diode.is_some()),
            sensor,
        ))),
        Part::Emc2302 { fans } => Box::new(Bytewise::new(emc2302::Emc2302::new(fans))),
        Part::Tmp1075 { .. } => Box::new(Wordwise::new(sensors::Tmp1075::new(sensor))),
        Part::Tmp451 {
            remote,
            remote_error_k,
            ..
        } => Box::new(Bytewise::new(sensors::Tmp451::new(
            remote.is_some(),
            remote_error_k,
            sensor,
        ))),
        Part::Lm75 { bits, .. } => Box::new(Wordwise::new(sensors::Lm75::new(bits, sensor))),
        Part::Ina260 => Box::new(Wordwise::new(ina260::Ina260::default())),
        Part::Ds4432u { output, feedback } => {
            Box::new(Bytewise::new(ds4432u::Ds4432u::new(output, feedback)))
        }
        Part::Tps546 { id } => Box::new(pmbus::Pmbus::new(tps546::Tps546::new(id, sensor))),
        Part::Tps53647 => Box::new(pmbus::Pmbus::new(tps53647::Tps53647::new(0x01F0, sensor))),
        Part::Tps53667 => Box::new(pmbus::Pmbus::new(tps53647::Tps53647::new(0x01F8, sensor))),
        Part::Fxl6408 { base } => Box::new(Bytewise::new(fxl6408::Fxl6408::new(base))),
        Part::At24 { size, ref contents } => Box::new(at24::At24::new(size, contents)),
        Part::Apw { model } => Box::new(apw::Apw::new(model)),
    }
}
