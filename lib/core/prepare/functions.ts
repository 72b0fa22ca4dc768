/**
 * Functions of DuckDB, and names that it reads as functions where no column has them, which do not give the same for
 * the same arguments: they look at a clock, at chance, at settings, at the database or at the process. DuckDB's own
 * catalogue knows not all of them: macros have no stability, and `current_localtimestamp` is called consistent.
 *
 * `test/house/functions.test.ts` holds this against the catalogue of the version that is pinned.
 */
export const UNSTABLE: ReadonlySet<string> = new Set([
  // clocks
  ...['current_date', 'current_time', 'current_timestamp', 'localtime', 'localtimestamp', 'now', 'today', 'ago'],
  ...['get_current_time', 'get_current_timestamp', 'current_localtime', 'current_localtimestamp'],
  ...['transaction_timestamp', 'statement_timestamp', 'clock_timestamp', 'pg_conf_load_time'],
  ...['pg_postmaster_start_time', 'sleep_ms', 'pg_sleep'],
  // chance and counters
  ...['random', 'setseed', 'uuid', 'uuidv4', 'uuidv7', 'gen_random_uuid', 'nextval', 'currval', 'txid_current'],
  ...['current_transaction_id', 'current_query_id', 'current_connection_id'],
  // settings, the database, the version and who asks
  ...['current_setting', 'getvariable', 'getenv', 'version', 'current_query', 'user', 'current_user', 'session_user'],
  ...['current_role', 'current_catalog', 'current_database', 'current_schema', 'current_schemas', 'in_search_path'],
  ...['format_type', 'get_block_size', 'pg_get_constraintdef', 'pg_get_viewdef', 'pg_my_temp_schema', 'write_log'],
  // how a value happens to be stored or planned
  ...['stats', 'vector_type', 'create_sort_key', 'json_serialize_plan', 'json_serialize_sql', 'json_deserialize_sql'],
  ...['finalize', 'combine', 'rowid', 'parse_duckdb_log_message'],
]);

/** Macros of DuckDB's that are made of aggregates: they look at many rows. */
export const AGGREGATING: ReadonlySet<string> = new Set([
  ...['geomean', 'geometric_mean', 'wavg', 'weighted_avg', 'json_group_array', 'json_group_object'],
  'json_group_structure',
]);
