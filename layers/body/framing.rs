/// Where a stream of length-prefixed messages stands: at the boundary of one, or within.
///
/// gRPC, gRPC-Web and Connect streams share the framing: a flag byte, four bytes of length, the message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    /// Bytes of the prefix seen so far, below five.
    prefix: u8,
    /// The length as far as it is read.
    length: u32,
    /// Bytes of the message still to come.
    left: u32,
}

impl Framing {
    const PREFIX: u8 = 5;

    /// Whether no message is begun.
    pub(crate) fn at_boundary(&self) -> bool {
        self.prefix == 0 && self.left == 0
    }

    /// The stream goes on by these bytes.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skip = self.left.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                self.left -= skip;
                bytes = &bytes[skip as usize..];
                continue;
            }
            if self.prefix > 0 {
                self.length = self.length << 8 | u32::from(bytes[0]);
            }
            self.prefix += 1;
            bytes = &bytes[1..];
            if self.prefix == Self::PREFIX {
                self.left = self.length;
                self.prefix = 0;
                self.length = 0;
            }
        }
    }
}
