//! Delta matches: runs in which the differences repeat that were there before, as in tables of growing numbers and in sound.

/// Makes `length` bytes from `position` on: each the byte a span before it, plus the difference over a span that lies `offset` bytes back.
///
/// The caller has checked that `span` and `offset` are not 0, `offset + span <= position`, and `position + length <= output.len()`.
#[inline(never)]
pub(super) fn copy_delta(
    output: &mut [u8],
    position: usize,
    span: usize,
    offset: usize,
    length: usize,
) {
    let first = position - offset - span;
    let output = &mut output[first..position + length];
    let to = offset + span;
    for i in 0..length {
        let difference = output[i.wrapping_add(span)].wrapping_sub(output[i]);
        let at = i.wrapping_add(to);
        output[at] = output[i.wrapping_add(offset)].wrapping_add(difference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_goes_on() {
        let mut bytes = vec![0; 64];
        for (i, byte) in bytes[..20].iter_mut().enumerate() {
            *byte = u8::try_from(i / 4 * 50 % 256 + i % 4).unwrap();
        }
        let expected: Vec<u8> =
            (0..64).map(|i| u8::try_from((i / 4 * 50 + i % 4) % 256).unwrap()).collect();
        copy_delta(&mut bytes, 20, 4, 4, 44);
        assert_eq!(bytes[..20], expected[..20]);
        let difference = |bytes: &[u8], i: usize| bytes[i].wrapping_sub(bytes[i - 4]);
        assert!((20..64).all(|i| difference(&bytes, i) == difference(&bytes, i - 4)));
    }
}
