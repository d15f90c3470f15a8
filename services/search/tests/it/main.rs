//! The index as its callers see it.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod brute_force;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod names;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod place;
#[cfg(test)]
mod saved;
#[cfg(test)]
mod support;
#[cfg(test)]
mod versions;
