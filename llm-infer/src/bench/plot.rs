//! Measured speeds as a picture: prefill by length of the prompt, decoding by depth beside what memory allows.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Row, Spread, Test};
use crate::Result;
use crate::plot::{Drawn, FONT, Picture, PlotFile};

/// Pixels of a panel and of the line above all of them.
const PANEL: (u32, u32) = (640, 460);
const TITLE: u32 = 44;
/// Pixels of a panel that the curves have, about, and of a line of the legend.
const HEIGHT: f64 = 350.0;
const LEGEND_LINE: f64 = 21.0;
/// Colours that people of every colour vision tell apart (Okabe and Ito).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// Longer names of models are cut.
const NAME: usize = 36;

/// Draws `rows`, which are of one model in one run, to `file`.
///
/// # Errors
/// [`crate::Error::Io`] when the file cannot be written.
pub fn plot(rows: &[Row], file: &PlotFile) -> Result<()> {
    let panels = [Test::Prefill, Test::Decode].map(|test| Panel::of(test, rows));
    let panels = panels.into_iter().filter(|panel| !panel.series.is_empty()).collect();
    file.write(&Speeds { title: rows.first().map(title).unwrap_or_default(), panels })
}

fn title(row: &Row) -> String {
    let mut name: String = row.model.chars().take(NAME).collect();
    if row.model.chars().nth(NAME).is_some() {
        name.push('…');
    }
    let threads = format!("{} thread{}", row.threads, if row.threads == 1 { "" } else { "s" });
    format!("{name}, {} ({:.1} bits per weight), on {} with {threads}", row.format, row.bits_per_weight, row.device)
}

struct Speeds {
    title: String,
    panels: Vec<Panel>,
}

/// One kind of measurement.
struct Panel {
    caption: &'static str,
    x: &'static str,
    series: Vec<Series>,
    /// What the limit is called in the legend.
    limit: Option<String>,
}

/// Measurements that are joined by a line.
struct Series {
    label: String,
    points: Vec<(u64, Spread)>,
    /// What memory allows at the same places, where it bounds the speed.
    limit: Vec<(u64, f64)>,
}

impl Panel {
    fn of(test: Test, rows: &[Row]) -> Self {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.test == test).collect();
        let (caption, x) = match test {
            Test::Prefill => ("Prefill", "tokens of the prompt"),
            Test::Decode => ("Decoding, all sequences together", "tokens in the cache"),
        };
        // What the line is of, and the place on it.
        let parts = |row: &Row| match test {
            Test::Prefill => ((row.depth, row.batch), row.tokens),
            Test::Decode => ((row.tokens, row.batch), row.depth),
        };
        let mut keys: Vec<(usize, usize)> = rows.iter().map(|row| parts(row).0).collect();
        keys.sort_unstable();
        keys.dedup();
        let same_first = keys.iter().all(|key| key.0 == keys[0].0);
        let series = keys.iter().map(|key| {
            let mut rows: Vec<&&Row> = rows.iter().filter(|row| parts(row).0 == *key).collect();
            rows.sort_by_key(|row| parts(row).1);
            let batch = if key.1 == 1 { "1 sequence".to_owned() } else { format!("{} sequences", key.1) };
            let label = match (test, same_first) {
                (Test::Prefill, true) if key.0 == 0 => batch,
                (Test::Prefill, _) => format!("{batch}, behind {} tokens", key.0),
                (Test::Decode, true) => batch,
                (Test::Decode, false) => format!("{batch}, {} tokens", key.0),
            };
            let at = |row: &Row| parts(row).1 as u64;
            let limit = rows.iter().filter_map(|row| Some((at(row), row.limit_tokens_per_second?))).collect();
            Series { label, points: rows.iter().map(|row| (at(row), row.tokens_per_second)).collect(), limit }
        });
        let limit = rows.iter().find(|row| row.limit_tokens_per_second.is_some());
        let limit = limit.map(|row| format!("limit: memory reads {:.1} GB/s", row.read_bytes_per_second / 1e9));
        Self { caption, x, series: series.collect(), limit }
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (ticks, end) = self.places();
        let speeds = self.series.iter().flat_map(|series| series.points.iter().map(|(_, speed)| speed.max));
        let highest = speeds.chain(self.series.iter().flat_map(|series| series.limit.iter().map(|(_, limit)| *limit))).fold(0.0, f64::max);
        let entries = self.series.len() + usize::from(self.limit.is_some());
        // The legend has room of its own above the curves.
        let above = (LEGEND_LINE * (entries + 1) as f64 / HEIGHT).min(0.6);
        let top = if highest > 0.0 { highest / (1.0 - above) } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .caption(self.caption, (FONT, 18))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d((0..end).with_key_points(ticks), 0.0..top)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.x).y_desc("tokens/s").label_style((FONT, 14)).axis_desc_style((FONT, 15)).light_line_style(TRANSPARENT);
        mesh.y_label_formatter(&|y| if top < 5.0 { format!("{y:.1}") } else { format!("{y:.0}") }).draw()?;
        for (series, color) in self.series.iter().zip(COLORS.into_iter().cycle()) {
            let limit: Vec<_> = match series.limit[..] {
                [(_, limit)] => vec![(0, limit), (end, limit)],
                _ => series.limit.clone(),
            };
            chart.draw_series(DashedLineSeries::new(limit, 6, 4, color.stroke_width(1)))?;
            let line = series.points.iter().map(|(x, speed)| (*x, speed.median));
            chart.draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?;
            chart.draw_series(line.map(|at| Circle::new(at, 4, color.filled())))?;
            let spread = series.points.iter().map(|(x, speed)| PathElement::new([(*x, speed.min), (*x, speed.max)], color.stroke_width(1)));
            let drawn = chart.draw_series(spread)?.label(series.label.as_str());
            drawn.legend(move |(x, y)| {
                EmptyElement::at((x, y))
                    + PathElement::new([(0, 0), (24, 0)], color.stroke_width(2))
                    + Circle::new((12, 0), 4, color.filled())
            });
        }
        if let Some(limit) = &self.limit {
            let nothing = chart.draw_series(std::iter::empty::<Circle<(u64, f64), i32>>())?.label(limit.as_str());
            nothing.legend(|(x, y)| {
                let dash = |from: i32| PathElement::new([(from, 0), (from + 6, 0)], BLACK.stroke_width(1));
                EmptyElement::at((x, y)) + dash(0) + dash(9) + dash(18)
            });
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::UpperRight).label_font((FONT, 14)).legend_area_size(32).margin(6);
        legend.border_style(BLACK.mix(0.3)).background_style(WHITE).draw()
    }

    /// The places that are measured, as far as their labels have room, and the end of the axis.
    fn places(&self) -> (Vec<u64>, u64) {
        let mut places: Vec<u64> = self.series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x)).collect();
        places.sort_unstable();
        places.dedup();
        let last = places.last().copied().unwrap_or(0);
        // A lone place stands in the middle.
        let end = if places.len() == 1 { (2 * last).max(2) } else { last + last.div_ceil(20) };
        let mut ticks: Vec<u64> = Vec::new();
        // From the end on, whose label is the longest.
        for place in places.into_iter().rev() {
            if ticks.last().is_none_or(|next| (next - place) * 12 >= end) {
                ticks.push(place);
            }
        }
        ticks.reverse();
        (ticks, end)
    }
}

impl Picture for Speeds {
    fn size(&self) -> (u32, u32) {
        (PANEL.0 * self.panels.len().max(1) as u32, TITLE + PANEL.1)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (above, below) = area.split_vertically(TITLE);
        above.draw(&Text::new(self.title.as_str(), (16, 14), (FONT, 20)))?;
        let areas = below.split_evenly((1, self.panels.len().max(1)));
        self.panels.iter().zip(&areas).try_for_each(|(panel, area)| panel.draw(area))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(test: Test, tokens: usize, depth: usize, batch: usize) -> Row {
        let speed = 100.0 * batch as f64 / (1.0 + depth as f64 / 4096.0);
        Row {
            model: "a-shape".into(),
            format: "int4".into(),
            bits_per_weight: 4.5,
            device: "cpu".into(),
            threads: 2,
            test,
            tokens,
            depth,
            batch,
            tokens_per_second: Spread { median: speed, min: 0.9 * speed, max: 1.05 * speed },
            runs: 3,
            bytes_per_token: 1e8,
            read_bytes_per_second: 2e10,
            limit_tokens_per_second: (test == Test::Decode).then_some(1.5 * speed),
            share_of_limit: (test == Test::Decode).then_some(1.0 / 1.5),
        }
    }

    fn texts(rows: &[Row]) -> String {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("speeds.svg");
        plot(rows, &PlotFile::new(&path).expect("a name")).expect("picture");
        std::fs::read_to_string(path).expect("file")
    }

    #[test]
    fn a_picture_says_what_was_measured() {
        let rows: Vec<Row> = [(Test::Prefill, 128, 0, 1), (Test::Prefill, 512, 0, 1)]
            .into_iter()
            .chain([0, 1024, 4096].into_iter().flat_map(|depth| [1, 8].map(|batch| (Test::Decode, 64, depth, batch))))
            .map(|(test, tokens, depth, batch)| row(test, tokens, depth, batch))
            .collect();
        let text = texts(&rows);
        for part in [
            "a-shape, int4 (4.5 bits per weight), on cpu with 2 threads",
            "Prefill",
            "Decoding",
            "tokens of the prompt",
            "tokens in the cache",
            "tokens/s",
            "1 sequence\n",
            "8 sequences\n",
            "limit: memory reads 20.0 GB/s",
            "128\n",
            "4096\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_single_point_is_enough() {
        let text = texts(&[row(Test::Decode, 64, 0, 1)]);
        assert!(text.contains("<circle") && !text.contains("Prefill") && !text.contains("NaN"), "{text}");
        let text = texts(&[row(Test::Prefill, 128, 512, 4)]);
        assert!(text.contains("4 sequences, behind 512 tokens") && !text.contains("limit"), "{text}");
    }

    #[test]
    fn labels_leave_each_other_room() {
        let rows = [0, 16, 128, 1024, 4096].map(|depth| row(Test::Decode, 64, depth, 1));
        assert_eq!(Panel::of(Test::Decode, &rows).places(), (vec![128, 1024, 4096], 4301));
    }
}
