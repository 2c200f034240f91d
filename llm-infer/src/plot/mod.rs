//! Pictures of measurements, as SVG or PNG.
//!
//! A `Picture` is drawn by plotters onto either kind of area. The font that texts are measured with, and in a PNG drawn with, is in
//! the program, so that no font of the system is needed.

mod png;

use std::path::PathBuf;
use std::sync::Once;

use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use crate::checkpoint::{require_writable, write_atomic};
use crate::{Error, Result};

/// The font of all texts.
pub(crate) const FONT: &str = "sans-serif";

/// What drawing on `B` fails with.
pub(crate) type Drawn<B> = std::result::Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Something that can be drawn on any area.
pub(crate) trait Picture {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);
    /// Draws it on an area of that size, which is white.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

/// A file that a picture can be written to.
#[derive(Debug, Clone)]
pub struct PlotFile {
    path: PathBuf,
    format: Format,
}

impl PlotFile {
    /// The file `path`, whose name says whether it is an SVG or a PNG.
    ///
    /// # Errors
    /// [`Error::Request`] of `--plot` for a name that ends otherwise.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        // Without a separator at its end, which no file has.
        let path: PathBuf = path.into().components().collect();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let format = match ending.as_deref() {
            Some("svg") => Format::Svg,
            Some("png") => Format::Png,
            _ => return Err(Error::request("--plot", format!("`{}`", path.display()), "a name that ends in .svg or .png")),
        };
        Ok(Self { path, format })
    }

    /// Finds out whether it can be written, so that no long work is done for a picture that has no place.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot.
    pub fn require_writable(&self) -> Result<()> {
        require_writable(&self.path)
    }

    /// Writes `picture`, replacing an older file once the new one is complete.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub(crate) fn write(&self, picture: &impl Picture) -> Result<()> {
        register();
        let bytes = match self.format {
            Format::Svg => svg(picture),
            Format::Png => bitmap(picture).map(|pixels| png::encode(&pixels, picture.size())),
        };
        let bytes = bytes.map_err(|error| Error::invalid(&self.path, "plot", error, "a picture"))?;
        write_atomic(&self.path, &bytes)
    }
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The bytes are part of the program: `the_font_is_one` holds that they are a font.
        drop(register_font(FONT, FontStyle::Normal, UBUNTU_LIGHT));
    });
}

/// The text of an SVG.
fn svg(picture: &impl Picture) -> std::result::Result<Vec<u8>, String> {
    let mut text = String::new();
    fill(picture, SVGBackend::with_string(&mut text, picture.size())).map_err(|error| error.to_string())?;
    Ok(text.into_bytes())
}

fn bitmap(picture: &impl Picture) -> std::result::Result<Vec<u8>, String> {
    let (width, height) = picture.size();
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    fill(picture, BitMapBackend::with_buffer(&mut pixels, (width, height))).map_err(|error| error.to_string())?;
    Ok(pixels)
}

fn fill<B: DrawingBackend>(picture: &impl Picture, backend: B) -> Drawn<B> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    picture.draw(&area)?;
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words;

    impl Picture for Words {
        fn size(&self) -> (u32, u32) {
            (120, 40)
        }

        fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
            area.draw(&Text::new("tokens", (5, 5), (FONT, 20)))
        }
    }

    #[test]
    fn the_font_is_one() {
        assert!(register_font("test", FontStyle::Normal, UBUNTU_LIGHT).is_ok());
    }

    #[test]
    fn both_kinds_of_files_hold_the_picture() {
        let folder = tempfile::tempdir().expect("folder");
        let written = |name: &str| {
            let path = folder.path().join(name);
            PlotFile::new(&path).expect("a name").write(&Words).expect("written");
            std::fs::read(path).expect("file")
        };
        assert!(String::from_utf8(written("a.svg")).expect("text").contains("tokens"));
        assert!(written("a.PNG").starts_with(b"\x89PNG"));
        register();
        let pixels = bitmap(&Words).expect("pixels");
        // White paper, and ink on it.
        assert!(pixels[..3] == [255; 3] && pixels.iter().filter(|x| **x < 100).count() > 50);
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["plot.pdf", "plot", "svg", ".svg"] {
            let message = PlotFile::new(name).expect_err(name).to_string();
            assert_eq!(message, format!("--plot: got `{name}`, expected a name that ends in .svg or .png"));
        }
    }
}
