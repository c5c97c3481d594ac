//! How a verb compresses what it writes.

use clap::{Args, ValueEnum};

use crate::{
    base::limits::Limits,
    cli::{app::Context, exit::Failure},
    codec::{Codec, Level},
    format::wim::{Solid, WriteSettings},
};

/// Options that say how to compress.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CompressionArguments {
    /// How to compress [default: as the source is; lzx for a folder]
    #[arg(long, value_enum)]
    compression: Option<CompressionChoice>,

    /// Size of a compression chunk in KiB [default: 32; 128 for lzms]
    #[arg(long, value_name = "KIB")]
    chunk_kib: Option<u32>,

    /// Size of a chunk of solid resources in MiB [default: 64]
    #[arg(long, value_name = "MIB")]
    solid_chunk_mib: Option<u32>,

    /// How much time to spend for how much size
    #[arg(long, value_enum)]
    level: Option<LevelChoice>,
}

/// How to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionChoice {
    /// Not at all
    None,
    /// Fast, larger
    Xpress,
    /// Smaller, slower
    Lzx,
    /// Smaller still, slow
    Lzms,
    /// LZMS over many files at once, as install.esd has it: smallest; one file takes long to get out
    Solid,
}

/// Time for size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelChoice {
    /// Less time, five to ten per cent larger
    Fast,
    /// For every day
    Default,
    /// Seven times the time, 3 % smaller
    High,
    /// For releases
    Max,
}

impl From<LevelChoice> for Level {
    fn from(choice: LevelChoice) -> Self {
        match choice {
            LevelChoice::Fast => Self::Fast,
            LevelChoice::Default => Self::Default,
            LevelChoice::High => Self::High,
            LevelChoice::Max => Self::Max,
        }
    }
}

impl CompressionArguments {
    /// The level, when one was asked for.
    pub(crate) fn level(&self) -> Option<Level> {
        self.level.map(Level::from)
    }

    /// True when a form was asked for that a file cannot change while it grows.
    pub(crate) fn asks_for_a_form(&self) -> bool {
        self.compression.is_some() || self.chunk_kib.is_some() || self.solid_chunk_mib.is_some()
    }

    /// `like` with what was asked for; warns of what Windows cannot read.
    pub(crate) fn resolve(
        &self,
        like: &WriteSettings,
        context: &Context,
    ) -> Result<WriteSettings, Failure> {
        let mut settings = WriteSettings { level: self.level().unwrap_or(like.level), ..*like };
        if let Some(choice) = self.compression {
            settings.codec = match choice {
                CompressionChoice::None => Codec::None,
                CompressionChoice::Xpress => Codec::Xpress,
                CompressionChoice::Lzx => Codec::Lzx,
                CompressionChoice::Lzms | CompressionChoice::Solid => Codec::Lzms,
            };
            settings.chunk_size = settings.codec.default_chunk_size();
            settings.solid = (choice == CompressionChoice::Solid).then(Solid::default);
        }
        if let Some(kib) = self.chunk_kib {
            settings.chunk_size = kib.saturating_mul(1 << 10);
        }
        // Larger chunks could be written, but not read again.
        let largest = Limits::default().chunk;
        if settings.chunk_size > largest || !settings.codec.allows_chunk_size(settings.chunk_size) {
            let allowed = match settings.codec {
                Codec::Xpress => "4, 8, 16, 32 or 64",
                Codec::Lzx => "a power of two from 32 to 2048",
                Codec::Lzms => "a power of two from 32 to 65536",
                Codec::None => "left away: nothing is compressed",
            };
            return Err(Failure::usage(format!(
                "--chunk-kib must be {allowed} with this compression"
            )));
        }
        match (&mut settings.solid, self.solid_chunk_mib) {
            (Some(solid), Some(mib)) => {
                solid.chunk_size = mib.saturating_mul(1 << 20);
                if solid.chunk_size > largest || !solid.codec.allows_chunk_size(solid.chunk_size) {
                    let message = "--solid-chunk-mib must be a power of two from 1 to 64";
                    return Err(Failure::usage(message));
                }
            }
            (None, Some(_)) => {
                return Err(Failure::usage("--solid-chunk-mib goes with --compression solid"));
            }
            (_, None) => {}
        }
        if let Some(why) = settings.unreadable_by_windows() {
            context.printer.warn(format_args!("{why}; wimlib, 7-Zip and transom read this file"));
        }
        Ok(settings)
    }
}
