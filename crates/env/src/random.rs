/// A source of random bytes: the operating system's in production, a seeded generator in a simulation.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` with random data fit for keys and nonces.
    fn fill(&self, bytes: &mut [u8]);
}

/// Conveniences over [`Random`].
pub trait RandomExt {
    /// A random number over the whole range.
    fn u64(&self) -> u64;
}

impl<R: Random + ?Sized> RandomExt for R {
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
