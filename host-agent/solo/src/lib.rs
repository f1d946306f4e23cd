//! Mining straight from a Bitcoin node, without any pool: getblocktemplate to jobs, shares to
//! blocks.
