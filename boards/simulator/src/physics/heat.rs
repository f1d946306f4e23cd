//! Heat on its way from the dies through board and sinks into the air. A board is a row of segments, one per domain, along
//! the air's way; each is exchanged with the air that the segments before it have warmed.

use super::{chips::Dies, spec::PhysicsSpec};

/// Volumetric heat capacity of air near 35 °C, J/(m³ K).
const AIR_J_PER_M3_K: f64 = 1175.0;

/// Temperatures of one board.
#[derive(Debug, Clone)]
pub(crate) struct Heat {
    /// Board and sinks under each domain, °C.
    pub(crate) sink_c: Vec<f64>,
    /// Air that leaves the board, °C.
    pub(crate) outlet_c: f64,
}

/// What the air does now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Air {
    /// Before the boards, °C.
    pub(crate) inlet_c: f64,
    /// Share of the full flow, convection included.
    pub(crate) flow: f64,
}

impl Heat {
    pub(crate) fn new(spec: &PhysicsSpec, celsius: f64) -> Self {
        Self {
            sink_c: vec![celsius; usize::from(spec.domains)],
            outlet_c: celsius,
        }
    }

    /// Lets heat flow for `dt` seconds; `extra_w` is other heat on the board. Returns the largest change, K.
    pub(crate) fn step(
        &mut self,
        spec: &PhysicsSpec,
        dies: &mut Dies,
        air: Air,
        extra_w: f64,
        dt: f64,
    ) -> f64 {
        let segment = Segment::new(spec, air);
        let die_share = 1.0 - (-dt / spec.thermal.die_tau_s).exp();
        // The sink's own exponential, exact for constant power and air.
        let sink_share = 1.0 - (-dt * segment.w_per_k / segment.j_per_k).exp();
        let mut local = air.inlet_c;
        let mut largest = 0.0_f64;
        let per_domain = usize::from(spec.chips_per_domain);
        for (sink, chips) in self.sink_c.iter_mut().zip(dies.dies.chunks_mut(per_domain)) {
            let watts =
                chips.iter().map(|die| die.watts).sum::<f64>() + extra_w / f64::from(spec.domains);
            let change = (local + watts / segment.w_per_k - *sink) * sink_share;
            *sink += change;
            largest = largest.max(change.abs());
            for die in chips {
                let over = *sink + spec.thermal.die_k_per_w * die.watts;
                let change = (over - die.celsius) * die_share;
                die.celsius += change;
                largest = largest.max(change.abs());
            }
            local += segment.air_k_per_w * segment.w_per_k * (*sink - local);
        }
        self.outlet_c = local;
        largest
    }

    /// Moves everything most of the way to where it would end with the powers as they are. Returns the largest change, K.
    pub(crate) fn relax(
        &mut self,
        spec: &PhysicsSpec,
        dies: &mut Dies,
        air: Air,
        extra_w: f64,
    ) -> f64 {
        let segment = Segment::new(spec, air);
        let mut local = air.inlet_c;
        let mut largest = 0.0_f64;
        let per_domain = usize::from(spec.chips_per_domain);
        for (sink, chips) in self.sink_c.iter_mut().zip(dies.dies.chunks_mut(per_domain)) {
            let watts =
                chips.iter().map(|die| die.watts).sum::<f64>() + extra_w / f64::from(spec.domains);
            *sink = local + watts / segment.w_per_k;
            for die in chips {
                let over = *sink + spec.thermal.die_k_per_w * die.watts;
                let change = 0.7 * (over - die.celsius);
                die.celsius += change;
                largest = largest.max(change.abs());
            }
            local += segment.air_k_per_w * segment.w_per_k * (*sink - local);
        }
        self.outlet_c = local;
        largest
    }

    /// Board temperature at a place along the air's way, 0 inlet to 1 outlet.
    pub(crate) fn at(&self, place: f64) -> f64 {
        let last = self.sink_c.len() - 1;
        let x = (place * self.sink_c.len() as f64 - 0.5).clamp(0.0, last as f64);
        let below = (x.floor() as usize).min(last);
        let above = (below + 1).min(last);
        self.sink_c[below] + (self.sink_c[above] - self.sink_c[below]) * (x - below as f64)
    }
}

/// How one segment meets the air.
struct Segment {
    /// Heat per kelvin between the sink and the air that arrives.
    w_per_k: f64,
    /// Warming of the air per watt; zero in the open.
    air_k_per_w: f64,
    j_per_k: f64,
}

impl Segment {
    fn new(spec: &PhysicsSpec, air: Air) -> Self {
        let thermal = &spec.thermal;
        let segments = f64::from(spec.domains);
        let flow = air.flow.max(thermal.still_flow).min(1.0);
        let surface =
            flow.powf(thermal.flow_exponent) / (thermal.sink_k_per_w * spec.dust * segments);
        let (w_per_k, air_k_per_w) = match thermal.flow_m3_s {
            None => (surface, 0.0),
            Some(full) => {
                let stream = AIR_J_PER_M3_K * full * flow;
                // Air cannot leave warmer than the sink: the exchanger's effectiveness.
                (stream * (1.0 - (-surface / stream).exp()), 1.0 / stream)
            }
        };
        Self {
            w_per_k,
            air_k_per_w,
            j_per_k: thermal.sink_j_per_k / segments,
        }
    }
}
