//! `[winpe]`.

use super::{LINE, PATH_SHAPE, key, table};
use crate::recipe::shape::{Group, Shape, TableShape};

pub(super) static WINPE: Shape = Shape::Table(&table(
    "the section [winpe]",
    "Settings of a Windows PE image; what is left out stays.",
    &[
        key(
            "scratch-mib",
            &SCRATCH,
            "memory that takes what is written to the system drive: 32, 64, 128, 256 or 512; more is taken with a warning",
        ),
        key(
            "target-path",
            &LINE,
            "the path that it runs from, of 3 to 32 characters: 'X:\\'; the drive from C to Z, no blanks or quotes",
        ),
        key(
            "startnet",
            &STARTNET,
            "what it starts (startnet.cmd): a file as it is, or a list of commands behind wpeinit",
        ),
        key(
            "winpeshl",
            &WINPESHL,
            "what it starts instead of startnet.cmd (winpeshl.ini): a file as it is, or a table",
        ),
    ],
));
static SCRATCH: Shape = Shape::Integer {
    least: 32,
    most: 4095,
    help: "Microsoft documents 32, 64, 128, 256 and 512; the driver takes up to 4095 (1024 on x86)",
};
static STARTNET: Shape =
    Shape::OneOf(&[PATH_SHAPE, Shape::List { of: &LINE, least: 1, append: false }]);
static WINPESHL: Shape = Shape::OneOf(&[
    PATH_SHAPE,
    Shape::Table(&TableShape {
        groups: &[Group { keys: &["app", "apps"], required: true }],
        ..table(
            "`winpeshl`",
            "Programs that Windows PE starts.",
            &[
                key("app", &LINE, "one program, without arguments ([LaunchApp])"),
                key(
                    "apps",
                    &APPS,
                    "programs one after the other, each with its arguments behind a comma ([LaunchApps]); `wpeinit.exe` is one of them",
                ),
            ],
        )
    }),
]);
static APPS: Shape = Shape::List { of: &LINE, least: 1, append: false };
