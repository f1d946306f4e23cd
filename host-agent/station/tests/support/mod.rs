//! A small thermal model for tests of the controllers: one mass in a stream of air, a fan with a
//! lag. Its numbers are those published for the boards, not the simulator's.
#![allow(dead_code)]

pub(crate) mod rig;

/// A board that heats, and a fan that blows.
pub(crate) struct Plant {
    /// Ambient, °C.
    pub(crate) ambient_c: f64,
    /// Heat at full clock, W.
    pub(crate) full_w: f64,
    /// Sensor over ambient at full airflow, K/W.
    pub(crate) resistance: f64,
    /// Heat capacity, J/K.
    pub(crate) capacity: f64,
    /// Share of the airflow that is left when the fan stands still.
    pub(crate) draught: f64,
    /// Present temperature, °C.
    pub(crate) celsius: f64,
    /// Present speed, 0 to 1.
    pub(crate) speed: f64,
    /// Airflow that still gets through, 0 to 1.
    pub(crate) clear: f64,
}

impl Plant {
    /// A Bitaxe: 17 W, 1.7 K/W at full fan, heats up within half a minute.
    pub(crate) fn bitaxe() -> Self {
        Self {
            ambient_c: 25.0,
            full_w: 17.0,
            resistance: 1.2,
            capacity: 20.0,
            draught: 0.08,
            celsius: 25.0,
            speed: 1.0,
            clear: 1.0,
        }
    }

    /// An Antminer: 3.2 kW in three boards, 24 K from inlet to outlet (half of it at the middle of the
    /// board) and 0.017 K/W per board at full airflow, 1.4 kJ/K per board.
    pub(crate) fn antminer() -> Self {
        Self {
            ambient_c: 25.0,
            full_w: 3200.0,
            resistance: 0.0057 + 12.0 / 3250.0,
            capacity: 4200.0,
            draught: 0.03,
            celsius: 25.0,
            speed: 1.0,
            clear: 1.0,
        }
    }

    /// One step of `dt` seconds at a duty and at a share of full power.
    pub(crate) fn step(&mut self, dt: f64, duty: f64, load: f64) {
        let speed = if duty < 10.0 { 0.0 } else { duty / 100.0 };
        self.speed += (speed - self.speed) * (1.0 - (-dt / 2.5_f64).exp());
        let flow = (self.speed * self.clear).max(self.draught);
        let resistance = self.resistance * flow.powf(-0.8);
        let rest = self.ambient_c + self.full_w * load * resistance;
        let tau = resistance * self.capacity;
        self.celsius += (rest - self.celsius) * (1.0 - (-dt / tau).exp());
    }

    /// Heat at a share of full power, W.
    pub(crate) fn watts(&self, load: f64) -> f64 {
        self.full_w * load
    }
}
