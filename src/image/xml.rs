//! The facts and counts of a changed image in the WIM's XML.
//!
//! Counts (how they are made: [`ImageCounts`](super::ImageCounts)) and the last modification time are always set. Of the `<WINDOWS>` block an element is set when its source in the image changed, or when the
//! source is known and the element is missing; everything else keeps its value, and its place. So what Microsoft's tools wrote from sources that an
//! offline image does not have (the kernel's version resource, the servicing stack) survives.

use crate::{base::filetime::FileTime, format::wim::Element};

use super::{facts::ImageFacts, finish::FinishedImage};

/// Updates the `<IMAGE>` element of a changed image.
pub fn update(element: &mut Element, image: &FinishedImage, modified: FileTime) {
    let counts = &image.counts;
    element.set_text(&["DIRCOUNT"], &counts.directories.to_string());
    element.set_text(&["FILECOUNT"], &counts.files.to_string());
    element.set_text(&["TOTALBYTES"], &counts.total_bytes.to_string());
    element.set_text(&["HARDLINKBYTES"], &counts.hard_link_bytes.to_string());
    set_time(element, "LASTMODIFICATIONTIME", modified);
    if let Some(base) = &image.base_facts {
        windows(element, base, &image.facts);
    }
}

/// The `<IMAGE>` element of an image that has none: a captured directory.
#[must_use]
pub fn create(image: &FinishedImage, name: &str, created: FileTime) -> Element {
    let mut element = Element::new("IMAGE");
    let counts = &image.counts;
    element.set_text(&["DIRCOUNT"], &counts.directories.to_string());
    element.set_text(&["FILECOUNT"], &counts.files.to_string());
    element.set_text(&["TOTALBYTES"], &counts.total_bytes.to_string());
    element.set_text(&["HARDLINKBYTES"], &counts.hard_link_bytes.to_string());
    set_time(&mut element, "CREATIONTIME", created);
    set_time(&mut element, "LASTMODIFICATIONTIME", created);
    windows(&mut element, &ImageFacts::default(), &image.facts);
    element.set_text(&["NAME"], name);
    if let Some(edition) = &image.facts.edition {
        element.set_text(&["FLAGS"], edition);
    }
    element
}

fn set_time(element: &mut Element, name: &str, time: FileTime) {
    element.set_text(&[name, "HIGHPART"], &format!("{:#010X}", time.0 >> 32).replace("0X", "0x"));
    let low = time.0 & 0xffff_ffff;
    element.set_text(&[name, "LOWPART"], &format!("{low:#010X}").replace("0X", "0x"));
}

fn windows(element: &mut Element, base: &ImageFacts, now: &ImageFacts) {
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let architecture =
        |facts: &ImageFacts| number(facts.architecture.map(|found| found.wim_number()));
    let root = |facts: &ImageFacts| facts.system_root.as_ref().map(|root| root.to_uppercase());
    // A folder without Windows in it has nothing to tell.
    if now.architecture.is_none() && now.build.is_none() && now.product_type.is_none() {
        return;
    }
    type Field<'a> = (&'a [&'a str], Option<String>, Option<String>);
    let text =
        |field: fn(&ImageFacts) -> &Option<String>| (field(base).clone(), field(now).clone());
    let (old_product, product) = text(|facts| &facts.product_name);
    let (old_edition, edition) = text(|facts| &facts.edition);
    let (old_installation, installation) = text(|facts| &facts.installation_type);
    let (old_hal, hal) = text(|facts| &facts.hal);
    let (old_type, product_type) = text(|facts| &facts.product_type);
    let (old_suite, suite) = text(|facts| &facts.product_suite);
    let fields: [Field<'_>; 13] = [
        (&["ARCH"], architecture(base), architecture(now)),
        (&["PRODUCTNAME"], old_product, product),
        (&["EDITIONID"], old_edition.clone(), edition.clone()),
        (&["INSTALLATIONTYPE"], old_installation, installation),
        (&["HAL"], old_hal, hal),
        (&["PRODUCTTYPE"], old_type, product_type),
        (&["PRODUCTSUITE"], old_suite, suite),
        (&["VERSION", "MAJOR"], number(base.major), number(now.major)),
        (&["VERSION", "MINOR"], number(base.minor), number(now.minor)),
        (&["VERSION", "BUILD"], number(base.build), number(now.build)),
        (&["VERSION", "SPBUILD"], number(base.service_pack_build), number(now.service_pack_build)),
        (&["VERSION", "SPLEVEL"], number(base.service_pack_level), number(now.service_pack_level)),
        (&["SYSTEMROOT"], root(base), root(now)),
    ];
    for (place, (path, before, after)) in fields.into_iter().enumerate() {
        let full: Vec<&str> = std::iter::once("WINDOWS").chain(path.iter().copied()).collect();
        if let Some(after) = after
            && (before.as_ref() != Some(&after) || element.text(&full).is_none())
        {
            element.set_text(&full, &after);
        }
        // Languages stand between the product and the version, as Setup's own files have them.
        if place == 6 {
            languages(element, base, now);
        }
    }
    // Other elements that tools write from the same sources, when they are there.
    for (path, before, after) in [
        (["WINDOWS", "VERSION", "BRANCH"].as_slice(), &base.branch, &now.branch),
        (&["WINDOWS", "SERVICINGDATA", "IMAGESTATE"], &base.image_state, &now.image_state),
        (&["FLAGS"], &old_edition, &edition),
    ] {
        if let Some(after) = after
            && before.as_ref() != Some(after)
            && element.text(path).is_some()
        {
            element.set_text(path, after);
        }
    }
}

fn languages(element: &mut Element, base: &ImageFacts, now: &ImageFacts) {
    let missing = element.child("WINDOWS").and_then(|windows| windows.child("LANGUAGES")).is_none();
    if now.languages.is_empty() {
        return;
    }
    if missing || base.languages != now.languages {
        let list = element.child_mut("WINDOWS").child_mut("LANGUAGES");
        let kept: Vec<Element> =
            list.children().filter(|child| child.name() != "LANGUAGE").cloned().collect();
        for name in ["LANGUAGE", "FALLBACK", "DEFAULT"] {
            list.remove_all(name);
        }
        for tag in &now.languages {
            let mut language = Element::new("LANGUAGE");
            language.set_text(&[], tag);
            list.push(language);
        }
        kept.into_iter().for_each(|child| list.push(child));
    }
    let path = ["WINDOWS", "LANGUAGES", "DEFAULT"];
    if let Some(language) = &now.default_language
        && (base.default_language.as_ref() != Some(language) || element.text(&path).is_none())
    {
        element.set_text(&path, language);
    }
}
