//! Events, lines.
