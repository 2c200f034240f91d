//! The loss over the steps as an SVG picture.

use std::path::Path;

use plotters::prelude::*;

use crate::{Error, Result};

/// One measured loss: step and nats per token.
pub type Point = (usize, f64);

/// Draws training and held-out loss to `path`, replacing an older picture.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn loss(path: &Path, training: &[Point], held_out: &[Point]) -> Result<()> {
    let mut picture = String::new();
    draw(&mut picture, training, held_out).map_err(|error| Error::invalid(path, "plot", error, "a picture"))?;
    crate::checkpoint::write_atomic(path, picture.as_bytes())
}

fn draw(picture: &mut String, training: &[Point], held_out: &[Point]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let steps = training.last().map_or(1, |(step, _)| *step).max(1);
    let highest = training.iter().chain(held_out).map(|(_, loss)| *loss).fold(1.0, f64::max);
    let area = SVGBackend::with_string(picture, (900, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Loss (nats per token)", ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0..steps, 0.0..highest * 1.05)?;
    chart.configure_mesh().x_desc("step").draw()?;
    for (points, color, label) in [(training, BLUE, "training"), (held_out, RED, "held out")] {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    area.present()?;
    Ok(())
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
