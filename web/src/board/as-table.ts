// Any picture as rows and columns: what screen readers, the inspector and files have of it.

import { show } from "../zone";
import { plain, write } from "./format";
import type { Cell, Picture, TableColumn, TablePicture, Text, TimePicture } from "./model";
import { timesOf } from "./stack";

export function asTable(picture: Picture): TablePicture {
  switch (picture.kind) {
    case "time":
      return timeTable(picture);
    case "table":
      return picture;
    case "heatmap": {
      const times = Array.from({ length: picture.count }, (_, i) => picture.start + i * picture.step);
      const rows = times.map((at, i) => [timeCell(at), ...picture.rows.map((row) => numberCell(row.v[i] ?? null, (value) => write(value, picture.format)))]);
      return table(["Time", ...picture.rows.map((row) => row.name)], rows);
    }
    case "stat":
      return table(["Name", "Value"], picture.tiles.map((tile) => [cell(tile.title), valueCell(tile.n, tile.value)]));
    case "gauge":
      return table(["Name", "Value"], picture.dials.map((dial) => [cell(dial.title), valueCell(dial.n, dial.value)]));
    case "bars":
      return table(["Name", "Value"], picture.bars.map((bar) => [cell(bar.title), valueCell(bar.n, bar.value)]));
    case "pie":
      return table(["Name", "Value", "Percent"], picture.parts.map((part) => [cell(part.title), valueCell(part.n, part.value), { t: part.percent, n: part.part }]));
    case "states": {
      const rows = picture.rows.flatMap((row) => row.spans.map((span) => [cell(row.title), timeCell(span.from), timeCell(span.to), cell(span.text)]));
      return table(["Name", "From", "To", "State"], rows);
    }
    case "alerts": {
      const rows = picture.alerts.map(({ name, state, since, labels }) => [cell(state), cell(name), since === null ? cell("") : timeCell(since), cell(labels.join(", "))]);
      return table(["State", "Alert", "Since", "Labels"], rows);
    }
    default:
      return table([], []);
  }
}

function timeTable(picture: TimePicture): TablePicture {
  const { series, tooltip } = picture;
  const formats = series.map((one) => tooltip.formats[one.format]);
  const rows = timesOf(picture).map((at, i) => {
    const values = series.map((one, j) => numberCell(one.v[i] ?? null, (value) => write(value, formats[j])));
    return [timeCell(at), ...values];
  });
  return table(["Time", ...series.map(({ name }) => name)], rows);
}

function table(titles: string[], rows: Cell[][]): TablePicture {
  const isNumber = (i: number) => i > 0 && rows.some((row) => row[i]?.n !== undefined);
  const columns: TableColumn[] = titles.map((title, i) => ({ title, align: isNumber(i) ? "right" : "left", look: "plain", sorted: 0 }));
  return { columns, rows, omitted: 0, headless: false, pages: false, height: "sm", frame: 0 };
}

function cell(t: string): Cell {
  return { t };
}

/** As it is written, with the number itself. */
function valueCell(n: number | null, value: Text | undefined): Cell {
  const t = value ? plain(value) : "";
  return n === null ? { t } : { t, n };
}

function timeCell(at: number): Cell {
  return { t: show(at, "full"), n: at };
}

function numberCell(value: number | null, text: (value: number) => string): Cell {
  return value === null ? { t: "" } : { t: text(value), n: value };
}
