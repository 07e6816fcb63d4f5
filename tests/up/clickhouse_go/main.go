// Reads and writes the ClickHouse port with clickhouse-go over HTTP, the driver of Grafana's ClickHouse plugin and of
// the OpenTelemetry Collector's ClickHouse exporter, and prints what it found as one JSON object.
//
//	clickhouse_go <host:port> <password> read|write [none|gzip|deflate|br|lz4|zstd]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

type kinds struct {
	I   int64             `ch:"i" json:"i"`
	D   decimal.Decimal   `ch:"d" json:"d"`
	T   time.Time         `ch:"t" json:"t"`
	Day time.Time         `ch:"day" json:"day"`
	M   map[string]string `ch:"m" json:"m"`
	F   string            `ch:"f" json:"-"`
	Hex string            `json:"f"`
	N   *float64          `ch:"n" json:"n"`
	A   []string          `ch:"a" json:"a"`
	U   uuid.UUID         `ch:"u" json:"u"`
	E   string            `ch:"e" json:"e"`
	B   bool              `ch:"b" json:"b"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readKinds(ctx context.Context, conn driver.Conn, query string) []kinds {
	rows := []kinds{}
	check(conn.Select(ctx, &rows, query))
	for n := range rows {
		rows[n].Hex = fmt.Sprintf("%x", rows[n].F)
	}
	return rows
}

func read(ctx context.Context, conn driver.Conn) map[string]any {
	found := map[string]any{"kinds": readKinds(ctx, conn, "SELECT * FROM kinds")}

	var service, cost string
	row := conn.QueryRow(ctx,
		"SELECT service, toString(sum(cost_usd)) FROM calls WHERE service = {service:String} GROUP BY service",
		clickhouse.Named("service", "support-bot"))
	check(row.Scan(&service, &cost))
	found["service"], found["cost"] = service, cost

	found["empty"] = len(readKinds(ctx, conn, "SELECT * FROM kinds WHERE i = 424242"))

	rows, err := conn.Query(ctx, "SELECT number, toString(number) FROM numbers(300000)")
	check(err)
	count := 0
	for rows.Next() {
		count++
	}
	check(rows.Err())
	found["many"] = count

	found["error"] = fmt.Sprint(conn.Exec(ctx, "SELECT * FROM nope"))

	limited, cancel := context.WithTimeout(ctx, 5*time.Second) // arrives as max_execution_time
	defer cancel()
	check(conn.Exec(limited, "SELECT 1"))
	return found
}

func write(ctx context.Context, conn driver.Conn) map[string]any {
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO kinds")
	check(err)
	for n := range 1000 {
		half := 0.5
		check(batch.Append(int64(10_000+n), decimal.RequireFromString("0.000000000001"),
			time.Date(2026, 11, 22, 10, 11, 12, 123456789, time.UTC), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
			map[string]string{"team": "cx"}, "0123456789abcdef", &half, []string{"x"}, uuid.UUID{}, "ok", true))
	}
	check(batch.Send())
	return map[string]any{
		"rows": len(readKinds(ctx, conn, "SELECT * FROM kinds WHERE i >= 10000 AND i < 20000")),
		"last": readKinds(ctx, conn, "SELECT * FROM kinds WHERE i = 10999")[0],
	}
}

var compressions = map[string]clickhouse.CompressionMethod{
	"none":    clickhouse.CompressionNone,
	"gzip":    clickhouse.CompressionGZIP,
	"deflate": clickhouse.CompressionDeflate,
	"br":      clickhouse.CompressionBrotli,
	"lz4":     clickhouse.CompressionLZ4,
	"zstd":    clickhouse.CompressionZSTD,
}

func main() {
	options := &clickhouse.Options{
		Protocol: clickhouse.HTTP,
		Addr:     []string{os.Args[1]},
		Auth:     clickhouse.Auth{Database: "llmcost", Username: "default", Password: os.Args[2]},
	}
	if len(os.Args) > 4 {
		options.Compression = &clickhouse.Compression{Method: compressions[os.Args[4]]}
	}
	conn, err := clickhouse.Open(options)
	check(err)
	ctx := context.Background()
	check(conn.Ping(ctx))
	version, err := conn.ServerVersion()
	check(err)

	run := map[string]func(context.Context, driver.Conn) map[string]any{"read": read, "write": write}[os.Args[3]]
	found := run(ctx, conn)
	found["version"] = version.Version.String()
	check(json.NewEncoder(os.Stdout).Encode(found))
}
