//! A file's bytes in shared pages, so that a copy of a whole disk costs next to nothing.

use std::sync::{Arc, LazyLock};

const PAGE: usize = 4096;

type Page = Arc<[u8; PAGE]>;

/// What files are filled with, once for all of them.
static ZEROS: LazyLock<Page> = LazyLock::new(|| Arc::new([0; PAGE]));

/// Bytes that can be cloned cheaply. Beyond `len`, the last page is zeros.
#[derive(Clone, Default)]
pub(super) struct Pages {
    pages: Vec<Page>,
    len: usize,
}

impl Pages {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Cuts, or extends with zeros.
    pub(super) fn resize(&mut self, len: usize) {
        let pages = len.div_ceil(PAGE);
        if len < self.len {
            self.pages.truncate(pages);
            let used = len % PAGE;
            if used != 0
                && let Some(last) = self.pages.last_mut()
            {
                Arc::make_mut(last)[used..].fill(0);
            }
        } else {
            self.pages.resize_with(pages, || Arc::clone(&ZEROS));
        }
        self.len = len;
    }

    /// Writes at an offset, and grows if need be.
    pub(super) fn write(&mut self, offset: usize, mut bytes: &[u8]) {
        if self.len < offset + bytes.len() {
            self.resize(offset + bytes.len());
        }
        let mut at = offset;
        while !bytes.is_empty() {
            let within = at % PAGE;
            let n = (PAGE - within).min(bytes.len());
            let page = &mut self.pages[at / PAGE];
            // Space is filled with zeros again and again: such pages stay shared.
            if page[within..within + n] != bytes[..n] {
                Arc::make_mut(page)[within..within + n].copy_from_slice(&bytes[..n]);
            }
            at += n;
            bytes = &bytes[n..];
        }
    }

    /// Reads up to the end; gives how many bytes.
    pub(super) fn read(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let start = offset.min(self.len);
        let total = buffer.len().min(self.len - start);
        let mut done = 0;
        while done < total {
            let at = start + done;
            let n = (PAGE - at % PAGE).min(total - done);
            buffer[done..done + n].copy_from_slice(&self.pages[at / PAGE][at % PAGE..at % PAGE + n]);
            done += n;
        }
        total
    }

    /// Changes the bits of `mask` in one byte, if there is such a byte.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        if offset < self.len {
            Arc::make_mut(&mut self.pages[offset / PAGE])[offset % PAGE] ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_pages_and_cuts_leave_zeros() {
        let mut pages = Pages::default();
        pages.write(PAGE - 2, b"across");
        let before = pages.clone();
        pages.resize(PAGE);
        pages.resize(PAGE + 10);
        let mut buffer = [9; 12];
        assert_eq!(pages.read(PAGE - 2, &mut buffer), 12);
        assert_eq!(&buffer, b"ac\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(before.read(PAGE - 2, &mut buffer), 6);
        assert_eq!(&buffer[..6], b"across", "a copy does not follow");
        assert_eq!(pages.read(PAGE + 10, &mut buffer), 0);
        pages.flip(PAGE - 2, 0x02);
        assert_eq!(pages.read(PAGE - 2, &mut buffer[..1]), 1);
        assert_eq!(buffer[0], b'c');
    }
}
