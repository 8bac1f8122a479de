//! A number where a signal is wanted.

use buttress::LoadShedLayer;

fn main() {
    let _ = LoadShedLayer::new().signal(0.5);
}
