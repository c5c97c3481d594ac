//! `[base]`.

use super::{LINE, PATH, key, required, table, word};
use crate::recipe::shape::{Group, Pattern, Shape, TableShape};

pub(super) static BASE: Shape = Shape::Table(&TableShape {
    later: &[
        ("dir", "build on a captured folder"),
        ("iso", "build on an image inside an ISO"),
        ("vhdx", "build on a virtual disk"),
    ],
    groups: &[Group { keys: &SELECTIONS, required: true }],
    ..table(
        "the section [base]",
        "The image to start from, or several of one file that are built alike. The file is only read.",
        &[
            required("wim", &PATH, "the WIM file (.wim, .esd) with the image to start from"),
            key("edition", &LINE, "choose the image by its edition id: `ServerDatacenterCor`"),
            key("name", &LINE, "choose the image by its name in the WIM"),
            key("index", &INDEX, "choose the image by its number in the WIM, from 1"),
            key("editions", &LINES, "build several images: those of these edition ids"),
            key("names", &LINES, "build several images: those of these names"),
            key("indexes", &INDEXES, "build several images: those of these numbers"),
            key(
                "images",
                &IMAGES,
                "build several images: each with its own choice and, if wanted, its own name; or `all`",
            ),
            key("expect", &EXPECT, "what each image must be; a build on another is refused"),
        ],
    )
});
/// The ways to choose images.
const SELECTIONS: [&str; 7] =
    ["edition", "name", "index", "editions", "names", "indexes", "images"];
static LINES: Shape = Shape::List { of: &LINE, least: 1, append: false };
static INDEXES: Shape = Shape::List { of: &INDEX, least: 1, append: false };
static IMAGES: Shape = Shape::OneOf(&[
    Shape::Choice { words: &[word("all", "all images of the file")], other: None },
    Shape::List { of: &IMAGE, least: 1, append: false },
]);
static IMAGE: Shape = Shape::Table(&TableShape {
    groups: &[Group { keys: &["edition", "name", "index"], required: true }],
    ..table(
        "an entry of [[base.images]]",
        "An image of the base that is built.",
        &[
            key("edition", &LINE, "choose the image by its edition id"),
            key("name", &LINE, "choose the image by its name in the WIM"),
            key("index", &INDEX, "choose the image by its number in the WIM, from 1"),
            key("new-name", &LINE, "the name of the built image; default: as in the base"),
            key(
                "new-description",
                &LINE,
                "the description of the built image; default: as [image] says, else as in the base",
            ),
        ],
    )
});
static INDEX: Shape = Shape::Integer {
    least: 1,
    most: 0xffff,
    help: "images are counted from 1; `transom wim info FILE` lists them",
};
static EXPECT: Shape = Shape::Table(&table(
    "`expect`",
    "What the image must be.",
    &[
        key("arch", &ARCHITECTURE, "the architecture"),
        key("build", &BUILD, "the build number: `26100`, or `26100.1742` with the revision"),
    ],
));
static ARCHITECTURE: Shape = Shape::Choice {
    words: &[
        word("amd64", "64-bit x86"),
        word("arm64", "64-bit ARM"),
        word("x86", "32-bit x86"),
        word("arm", "32-bit ARM"),
    ],
    other: None,
};
static BUILD: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[0-9]{1,9}(\.[0-9]{1,9})?$",
    matches: is_build,
    what: "a build number such as \"26100\" or \"26100.1742\"",
}));

fn is_build(text: &str) -> bool {
    let mut parts = text.split('.');
    let number = |part: &str| {
        (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.next().is_some_and(number) && parts.next().is_none_or(number) && parts.next().is_none()
}
