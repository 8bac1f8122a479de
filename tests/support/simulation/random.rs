//! Random times, each from a stream of its own.

use std::f64::consts::TAU;

use fastrand::Rng;

/// How long something takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Takes {
    /// Always the same.
    Exactly(f64),
    /// With this mean: many short, few long; without memory.
    Exponential(f64),
    /// With this mean, and the deviation of its logarithm: 1 is a heavy tail.
    LogNormal(f64, f64),
    /// The first, but for this part of the calls, which take the second; each exponential.
    Either(f64, f64, f64),
}

impl Takes {
    /// The mean.
    pub(crate) fn mean(self) -> f64 {
        match self {
            Self::Exactly(mean) | Self::Exponential(mean) | Self::LogNormal(mean, _) => mean,
            Self::Either(one, other, part) => one * (1.0 - part) + other * part,
        }
    }

    pub(crate) fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Exactly(time) => time,
            Self::Exponential(mean) => mean * exponential(rng),
            Self::LogNormal(mean, deviation) => mean * (deviation * normal(rng) - deviation * deviation / 2.0).exp(),
            Self::Either(one, other, part) => {
                let mean = if rng.f64() < part { other } else { one };
                mean * exponential(rng)
            }
        }
    }
}

/// Exponential, of mean 1.
pub(crate) fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

/// Normal, of mean 0 and deviation 1 (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos()
}
