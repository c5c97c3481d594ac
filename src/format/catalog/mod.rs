//! Catalogs (`.cat`): the signed lists of file digests that come with driver packages.
//!
//! A catalog is PKCS#7 SignedData over a certificate trust list whose entries are the files of a package, each by its digest. Windows
//! trusts a driver's files when the catalog names them and the catalog's signature is good; here both questions are answered
//! offline and without a clock.
//!
//! - [`Catalog`]: members and attributes; [`Catalog::contains`] asks for a file, [`Catalog::verify`] for the signature
//! - [`FileDigests`]: the digests a catalog may name a file by
//! - [`Verdict`], [`Trust`]: what a signature is worth; the rules are in `verdict`, the known authorities in `authorities`
//! - [`ctl_of`]: a catalog without a signature
//!
//! Known from real catalogs, from RFC 2315, 3161, 5280, 5652 and Microsoft's documentation of the attributes.

mod asn1;
mod authorities;
mod certificate;
mod digests;
mod oid;
mod read;
mod signed_data;
#[cfg(test)]
mod testing;
mod verdict;
mod write;

pub use digests::{FileDigests, PeDigests};
pub use read::{Algorithm, Catalog, CatalogError, Member, MemberKind};
pub use verdict::{Trust, Verdict};
pub use write::{NewMember, ctl_of};
