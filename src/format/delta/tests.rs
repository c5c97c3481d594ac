//! Deltas made here and applied, what is refused, and damage.

use proptest::prelude::*;

use super::*;

const TIME: FileTime = FileTime(132_165_214_885_146_491);

/// Bytes with repetitions near and far, so that all lengths and distances occur.
fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() < size {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = usize::try_from(state >> 33).unwrap();
        if bytes.len() > 8 && random % 3 == 0 {
            let from = random % bytes.len();
            let length = (random >> 7) % [6, 40, 700][random % 7 % 3] + 1;
            for index in from..from + length {
                bytes.push(bytes[index]);
            }
        } else {
            bytes.extend_from_slice(&state.to_le_bytes()[3..3 + random % 5]);
        }
    }
    bytes.truncate(size);
    bytes
}

#[test]
fn what_is_made_comes_back() {
    for (reference, target) in [(0, 0), (0, 1), (0, 70_000), (50_000, 60_000), (600_000, 600_000)] {
        let reference = content(1, reference);
        let mut target = content(2, target);
        target.extend_from_slice(&reference[reference.len() / 2..]);
        let delta = create(&reference, &target, TIME);
        let header = target_of(&delta).unwrap();
        assert_eq!((header.time, header.kind), (TIME, FileKind::Raw));
        assert_eq!(header.size, target.len() as u64);
        assert!(apply(&delta, &reference, header.size).unwrap() == target, "{}", target.len());
    }
}

#[test]
fn long_runs_and_far_copies() {
    let mut reference = content(7, 300_000);
    reference.resize(1_500_000, 0);
    let target = [&reference[..200_000], &vec![0; 300_000], &reference[100..2_000]].concat();
    let delta = create(&reference, &target, TIME);
    assert!(delta.len() < 4000, "{}", delta.len());
    assert!(apply(&delta, &reference, u64::MAX).unwrap() == target);
}

#[test]
fn another_reference_is_noticed() {
    let reference = content(3, 5000);
    let delta = create(&reference, &reference[100..], TIME);
    let error = apply(&delta, &content(4, 5000), 5000).unwrap_err();
    assert!(matches!(&error, DeltaError::Hash { algorithm: "SHA-256", .. }), "{error}");
    assert!(apply(&delta, b"", 5000).unwrap_err().to_string().contains("outside the window"));
}

#[test]
fn a_larger_target_than_wanted_is_not_made() {
    let delta = create(b"", &[0; 5000], TIME);
    assert_eq!(
        apply(&delta, b"", 4999).unwrap_err(),
        DeltaError::TooLarge { size: 5000, limit: 4999 }
    );
}

/// A delta that is nothing but its head.
fn head(kinds: u64, kind: u64, flags: u64, preparation: &[u8], patch: &[u8]) -> Vec<u8> {
    encode::assemble(TIME, [kinds, kind, flags, 100, 0], [b"", preparation, patch])
}

#[test]
fn what_only_windows_can_apply_is_refused_by_name() {
    let cases = [
        (head(15, 8, 0x3_E63F, b"x", b""), "a delta of PE kind (amd64 executable)"),
        (head(15, 2, 0x100, b"", b""), "a delta of PE kind (x86 executable)"),
        (head(0x101, 1, 0, b"", b""), "a delta that leads both ways (a reverse delta)"),
        (head(1, 1, 0x100, b"", b""), "a delta with a bsdiff patch stream"),
        (head(1, 1, 1, b"", b""), "a delta that changes its reference"),
        (head(1, 1, 0, b"x", b""), "a delta that changes its reference"),
        (head(1, 1, 0x2_0000, b"", &COMPRESSED), "a delta with an LZMS patch stream"),
        (b"PA31........".to_vec(), "a delta of the PA31 kind"),
        (b"PA19........".to_vec(), "a delta of the PA19 kind"),
    ];
    for (delta, expected) in cases {
        let error = apply(&delta, b"", 1000).unwrap_err();
        assert!(error.is_unsupported());
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(error.to_string().ends_with(" is not supported"), "{error}");
    }
}

#[test]
fn a_rift_table_without_bound_is_refused() {
    let mut bits = encode::Writer::new();
    bits.put(1, 1);
    for _ in 0..2 {
        // A code of 252 symbols: 248 of eight bits, 4 of seven.
        for (value, width) in [(0, 8), (0, 8), (248, 8), (7, 4)] {
            bits.put(value, width);
        }
    }
    bits.number((1 << 20) + 1);
    let delta = head(1, 1, 0, b"", &bits.finish());
    let error = apply(&delta, b"", 1000).unwrap_err().to_string();
    assert!(error.contains("too many entries in the rift table"), "{error}");
}

#[test]
fn a_rift_entry_as_far_away_as_numbers_reach_does_not_overflow() {
    let mut bits = encode::Writer::new();
    bits.put(1, 1);
    for _ in 0..2 {
        for (value, width) in [(0, 8), (0, 8), (248, 8), (7, 4)] {
            bits.put(value, width);
        }
    }
    // One entry: start 1 (the second code of eight bits), and the smallest number there is (the last code of seven bits, 61 further bits).
    bits.number(1);
    bits.put(0x80, 8);
    bits.put(0x7F, 7);
    bits.put(u64::MAX, 61);
    // Flat codes; a literal, then two bytes from where the table says.
    bits.put(1, 1);
    bits.symbol(usize::from(b'a'), stream::MAIN);
    bits.symbol(256 + (3 << 3 | 1), stream::MAIN);
    let delta = head(1, 1, 0, b"", &bits.finish());
    let error = apply(&delta, b"", 1000).unwrap_err().to_string();
    assert!(error.contains("a rift table that overflows"), "{error}");
}

#[test]
fn code_lengths_that_grow_from_segment_to_segment_do_not_overflow() {
    let mut bits = encode::Writer::new();
    bits.put(0, 2);
    bits.number(100);
    for _ in 0..100 {
        bits.number(0);
    }
    // The only symbol of the code for code lengths is "three more than before", one bit.
    for symbol in 0..39 {
        bits.put(u64::from(symbol == 19), 4);
    }
    for _ in 0..100 * (stream::MAIN + stream::LENGTHS + stream::ALIGNED) {
        bits.put(0, 1);
    }
    let delta = head(1, 1, 0, b"", &bits.finish());
    let error = apply(&delta, b"", 1000).unwrap_err().to_string();
    assert!(error.contains("a code of more than 16 bits"), "{error}");
}

#[test]
fn damaged_ones_say_where() {
    let target = content(5, 3000);
    let delta = create(b"", &target, TIME);
    for length in 0..delta.len() {
        let error = apply(&delta[..length], b"", 3000).unwrap_err();
        assert!(matches!(error, DeltaError::Malformed(_)), "{length}: {error}");
    }
    let error = apply(b"MZ..", b"", 1).unwrap_err();
    assert_eq!(error.to_string(), "PA30 delta: it does not start with PA30 (at offset 0x0)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_content_round_trips(
        reference in proptest::collection::vec(0..4u8, 0..600),
        target in proptest::collection::vec(0..4u8, 0..900),
    ) {
        let delta = create(&reference, &target, TIME);
        prop_assert_eq!(apply(&delta, &reference, 900).unwrap(), target);
    }

    #[test]
    fn no_bytes_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let delta = head(1, 1, 0, b"", &data);
        let _ignored = apply(&delta, b"some reference", 100_000);
        let _ignored = apply(&[&MAGIC[..], &data].concat(), b"", 100_000);
    }

    #[test]
    fn changed_deltas_do_not_panic(place in 0..1000usize, value: u8) {
        let reference = content(8, 500);
        let mut delta = create(&reference, &content(9, 800), TIME);
        let place = place % delta.len();
        delta[place] ^= value;
        let _ignored = apply(&delta, &reference, 100_000);
    }
}
