//! Copying LZ77 matches within an output buffer, fast for the common cases.

/// Copies `length` bytes from `offset` bytes back to `position`, byte by byte in meaning (so the source may overlap the
/// destination). Bytes behind the match, but inside `output`, may be overwritten with anything.
///
/// The caller has checked that `1 <= offset <= position` and `position + length <= output.len()`.
#[inline(always)]
pub(super) fn copy_match(output: &mut [u8], position: usize, offset: usize, length: usize) {
    let end = position.wrapping_add(length);
    let source = position.wrapping_sub(offset);
    let room = output.len().wrapping_sub(end);
    if room >= 16 && offset >= 16 {
        let mut from = source;
        let mut to = position;
        loop {
            output.copy_within(from..from.wrapping_add(16), to);
            from = from.wrapping_add(16);
            to = to.wrapping_add(16);
            if to >= end {
                break;
            }
        }
    } else if room >= 16 && length <= 64 {
        copy_close(output, position, offset, end);
    } else {
        copy_carefully(output, position, offset, length);
    }
}

/// Copies from less than 16 bytes back, with 16 bytes of room behind `end`.
#[inline(always)]
fn copy_close(output: &mut [u8], position: usize, offset: usize, end: usize) {
    let mut to = position;
    let mut offset = offset;
    if offset < 8 {
        // Eight single bytes; then a multiple of the offset that is at least 8 has the same meaning.
        for _ in 0..8 {
            output[to] = output[to.wrapping_sub(offset)];
            to = to.wrapping_add(1);
        }
        offset = [8, 8, 8, 9, 8, 10, 12, 14][offset & 7];
    }
    while to < end {
        let from = to.wrapping_sub(offset);
        output.copy_within(from..from.wrapping_add(8), to);
        to = to.wrapping_add(8);
    }
}

/// Copies exactly `length` bytes: near the end of the output, and long runs.
#[inline(never)]
fn copy_carefully(output: &mut [u8], position: usize, offset: usize, length: usize) {
    let source = position - offset;
    if offset == 1 {
        let byte = output[source];
        output[position..position + length].fill(byte);
        return;
    }
    // Each round copies what is there already, so the period doubles.
    let mut done = 0;
    while done < length {
        let size = (offset + done).min(length - done);
        output.copy_within(source..source + size, position + done);
        done += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_and_length_copies_as_byte_by_byte() {
        for offset in 1..40 {
            for length in 1..90 {
                for room in [0, 1, 15, 16, 17, 40] {
                    let position = 50;
                    let mut output: Vec<u8> = (0..position + length + room)
                        .map(|i| u8::try_from(i * 37 % 251).unwrap())
                        .collect();
                    let mut expected = output.clone();
                    for i in position..position + length {
                        expected[i] = expected[i - offset];
                    }
                    copy_match(&mut output, position, offset, length);
                    assert_eq!(
                        output[..position + length],
                        expected[..position + length],
                        "{offset} {length} {room}"
                    );
                }
            }
        }
    }
}
