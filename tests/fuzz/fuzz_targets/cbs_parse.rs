//! Reading packages and component manifests never panics, and what identities become are legal names, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::base::ntpath::check_component;
use transom::format::cbs::{Identity, Manifest, Mum};

fn check(identity: &Identity) {
    for form in [identity.key_form(), identity.short_key_form(), identity.winners_key_form()] {
        let legal = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || "._-".contains(c);
        assert!(form.len() < 200 && form.chars().all(legal), "{form}");
    }
    let id = identity.package_id();
    // What preparing a package asks before its id becomes the name of files and keys.
    if check_component(&format!("{id}.mum")).is_ok() {
        assert!(!id.contains(['/', '\\', ':', '*', '?', '\0']), "{id:?}");
    }
    if let Some(back) = Identity::of_package_id(&id) {
        assert_eq!(back.package_id(), id);
    }
    drop(Identity::of_identity_text(&identity.identity_text()));
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mum) = Mum::parse(bytes) {
        check(&mum.identity);
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        check(&manifest.identity);
    }
});
