// Grafana's published types, as JSON has them: an enum is one of its values.
import type * as barchart from "@grafana/schema/dist/types/raw/composable/barchart/panelcfg/x/types.gen";
import type * as stat from "@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen";
import type * as table from "@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen";
import type * as timeseries from "@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen";
import type * as raw from "@grafana/schema/dist/types/raw/dashboard/x/types.gen";

export type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T | (T extends number ? number : never)
    : T extends Array<infer Item>
      ? Array<Plain<Item>>
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

export type Dashboard = Plain<raw.Dashboard>;

export interface Options {
  barchart: Partial<Plain<barchart.Options>>;
  stat: Partial<Plain<stat.Options>>;
  table: Partial<Plain<table.Options>>;
  timeseries: Partial<Plain<timeseries.Options>>;
}

export interface Custom {
  barchart: Partial<Plain<barchart.FieldConfig>>;
  stat: Record<string, never>;
  table: Partial<Plain<table.FieldConfig>>;
  timeseries: Partial<Plain<timeseries.FieldConfig>>;
}
