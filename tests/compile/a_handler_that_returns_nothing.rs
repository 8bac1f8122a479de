//! A worker whose handler does not say whether it failed.

use buttress::Lifecycle;

fn main() {
    let life = Lifecycle::builder().build().unwrap();
    let _ = life.worker("mail").queue(16).run(|_: u64| async {});
}
