//! A queue of one type, and jobs of another.

use buttress::{BoxError, Lifecycle};

struct Mail;

async fn send(_: Mail) -> Result<(), BoxError> {
    Ok(())
}

fn main() {
    let life = Lifecycle::builder().build().unwrap();
    let mails = life.worker("mail").queue(16).run(send).unwrap();
    let _ = mails.try_enqueue("a letter");
}
