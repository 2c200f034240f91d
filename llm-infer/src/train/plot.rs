//! The loss over the steps as a picture.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Result;
use crate::plot::{Drawn, FONT, Picture, PlotFile};

/// One measured loss: step and nats per token.
pub type Point = (usize, f64);

/// Draws training and held-out loss to `path`, an SVG or PNG, replacing an older picture.
///
/// # Errors
/// [`crate::Error::Io`] when the file cannot be written, [`crate::Error::Request`] for a name of another ending.
pub fn loss(path: &Path, training: &[Point], held_out: &[Point]) -> Result<()> {
    PlotFile::new(path)?.write(&Loss { training, held_out })
}

struct Loss<'a> {
    training: &'a [Point],
    held_out: &'a [Point],
}

impl Picture for Loss<'_> {
    fn size(&self) -> (u32, u32) {
        (900, 480)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let steps = self.training.last().map_or(1, |(step, _)| *step).max(1);
        let highest = self.training.iter().chain(self.held_out).map(|(_, loss)| *loss).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption("Loss (nats per token)", (FONT, 20))
            .margin(16)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(0..steps, 0.0..highest * 1.05)?;
        chart.configure_mesh().x_desc("step").draw()?;
        for (points, color, label) in [(self.training, BLUE, "training"), (self.held_out, RED, "held out")] {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_both_lines() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("loss.svg");
        loss(&path, &[(0, 3.0), (10, 1.5)], &[(10, 1.6)]).expect("picture");
        let text = std::fs::read_to_string(path).expect("file");
        assert!(text.starts_with("<svg") && text.contains("training") && text.contains("held out"));
    }
}
