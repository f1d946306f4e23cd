//! The AxeOS web API.
