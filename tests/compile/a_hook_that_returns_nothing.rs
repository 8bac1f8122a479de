//! What is done at the end does not say whether it failed.

use buttress::Lifecycle;

fn main() {
    let life = Lifecycle::builder().build().unwrap();
    life.on_close("pool", async {});
}
