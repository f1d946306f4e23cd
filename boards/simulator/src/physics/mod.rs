//! Power, heat and air of a miner: what voltage every die gets, how hot it becomes, what share of its work comes out right,
//! what the fans and the supply make of their orders.
//!
//! A [`Machine`] is pure: time and orders go in, the physical truth comes out. It advances on a grid of [`TICK`], so that a run
//! does not depend on how often it is asked. What devices would report of this truth, with their registers and lies, is not
//! modelled here.
//!
//! The model: dies draw switching and leakage power and behave as conductances, parallel in a domain, domains in series;
//! voltage against a threshold that rises with clock and temperature and differs from chip to chip decides the share of correct
//! work; heat flows from die to sink to an air stream that warms along the board. Constants are fits of published operating
//! points; what is assumed says so where it stands.
//!
//! ```
//! use board_simulator::physics::{operating_point, presets};
//!
//! let machine = presets::s19k_pro();
//! let point = operating_point(&machine, 590.0, 13_500.0, 25.0, 100.0)?;
//! // Published: 121.8 TH/s from 2794 W at 590 MHz and 13.5 V.
//! assert!((point.input_w - 2794.0).abs() < 0.08 * 2794.0);
//! # Ok::<(), board_simulator::physics::PhysicsError>(())
//! ```

mod chips;
mod fans;
mod heat;
mod machine;
mod normal;
mod point;
pub mod presets;
mod published;
mod spec;
mod supply;

pub use chips::{ChipActivity, ChipState};
pub use fans::{FanFault, FanState};
pub use machine::{Machine, TICK};
pub use point::{OperatingPoint, operating_point, operating_point_at};
pub use published::{Published, published};
pub use spec::{
    ChipConstants, FanSpec, PhysicsError, PhysicsSpec, PsuSpec, Quality, RegulatorSpec, SupplySpec,
    ThermalSpec,
};
pub use supply::{SupplyFault, SupplyState, Trip};
