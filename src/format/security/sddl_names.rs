//! The short names of the text form: identities, rights, types and flags of entries.

/// Two-letter identities that mean the same everywhere: authority and parts. Those of a domain or of one machine (`DA`, `LA` ...) are not here.
pub(super) const SIDS: &[(&str, u64, &[u32])] = &[
    ("AA", 5, &[32, 579]),
    ("AC", 15, &[2, 1]),
    ("AN", 5, &[7]),
    ("AO", 5, &[32, 548]),
    ("AU", 5, &[11]),
    ("BA", 5, &[32, 544]),
    ("BG", 5, &[32, 546]),
    ("BO", 5, &[32, 551]),
    ("BU", 5, &[32, 545]),
    ("CD", 5, &[32, 574]),
    ("CG", 3, &[1]),
    ("CO", 3, &[0]),
    ("CY", 5, &[32, 569]),
    ("ED", 5, &[9]),
    ("ER", 5, &[32, 573]),
    ("ES", 5, &[32, 576]),
    ("HA", 5, &[32, 578]),
    ("HI", 16, &[12288]),
    ("HO", 5, &[32, 583]),
    ("IS", 5, &[32, 568]),
    ("IU", 5, &[4]),
    ("LS", 5, &[19]),
    ("LU", 5, &[32, 559]),
    ("LW", 16, &[4096]),
    ("ME", 16, &[8192]),
    ("MP", 16, &[8448]),
    ("MS", 5, &[32, 577]),
    ("MU", 5, &[32, 558]),
    ("NO", 5, &[32, 556]),
    ("NS", 5, &[20]),
    ("NU", 5, &[2]),
    ("OW", 3, &[4]),
    ("PO", 5, &[32, 550]),
    ("PS", 5, &[10]),
    ("PU", 5, &[32, 547]),
    ("RA", 5, &[32, 575]),
    ("RC", 5, &[12]),
    ("RD", 5, &[32, 555]),
    ("RE", 5, &[32, 552]),
    ("RM", 5, &[32, 580]),
    ("RU", 5, &[32, 554]),
    ("SI", 16, &[16384]),
    ("SO", 5, &[32, 549]),
    ("SU", 5, &[6]),
    ("SY", 5, &[18]),
    ("UD", 5, &[84, 0, 0, 0, 0, 0]),
    ("WD", 1, &[0]),
    ("WR", 5, &[33]),
];

/// Identities that only mean something in one domain or on one machine.
pub(super) const LOCAL_SIDS: &[&str] = &[
    "AP", "CA", "CN", "DA", "DC", "DD", "DG", "DU", "EA", "EK", "KA", "LA", "LG", "PA", "RO", "RS",
    "SA",
];

/// Rights. Where several names mean the same bits, the one to write comes first.
pub(super) const RIGHTS: &[(&str, u32)] = &[
    ("FA", 0x001f_01ff),
    ("FR", 0x0012_0089),
    ("FW", 0x0012_0116),
    ("FX", 0x0012_00a0),
    ("SD", 0x0001_0000),
    ("RC", 0x0002_0000),
    ("WD", 0x0004_0000),
    ("WO", 0x0008_0000),
    ("GA", 0x1000_0000),
    ("GX", 0x2000_0000),
    ("GW", 0x4000_0000),
    ("GR", 0x8000_0000),
    ("KA", 0x000f_003f),
    ("KR", 0x0002_0019),
    ("KW", 0x0002_0006),
    ("KX", 0x0002_0019),
    ("CC", 0x0001),
    ("DC", 0x0002),
    ("LC", 0x0004),
    ("SW", 0x0008),
    ("RP", 0x0010),
    ("WP", 0x0020),
    ("DT", 0x0040),
    ("LO", 0x0080),
    ("CR", 0x0100),
];

/// Policies of a mandatory label.
pub(super) const LABEL_RIGHTS: &[(&str, u32)] = &[("NW", 1), ("NR", 2), ("NX", 4)];

/// Types of entries that hold rights and a SID and nothing else.
pub(super) const KINDS: &[(&str, u8)] =
    &[("A", 0x00), ("D", 0x01), ("AU", 0x02), ("AL", 0x03), ("ML", 0x11), ("SP", 0x13)];

/// Types that exist and are not read here, with what they are.
pub(super) const OTHER_KINDS: &[(&str, &str)] = &[
    ("OA", "entries for object types"),
    ("OD", "entries for object types"),
    ("OU", "entries for object types"),
    ("OL", "entries for object types"),
    ("XA", "conditional entries"),
    ("XD", "conditional entries"),
    ("XU", "conditional entries"),
    ("ZA", "conditional entries"),
    ("RA", "resource attributes"),
    ("TL", "process trust labels"),
    ("FL", "access filters"),
];

/// Flags of entries, in the order they are written.
pub(super) const FLAGS: &[(&str, u8)] = &[
    ("OI", 0x01),
    ("CI", 0x02),
    ("NP", 0x04),
    ("IO", 0x08),
    ("ID", 0x10),
    ("CR", 0x20),
    ("SA", 0x40),
    ("FA", 0x80),
];
