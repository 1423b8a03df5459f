package mlflow

import "fmt"

// The forms of requests: fields of MLflow's protocol buffers (mlflow 3.17.2, mlflow/protos) in the order in which its handlers check them.

func need(f field) field {
	f.required = true
	return f
}

func words(name string) field { return field{name: name} }
func long(name string) field  { return field{name: name, kind: int64s} }
func short(name string) field { return field{name: name, kind: int32s} }
func several(f field) field   { f.list = true; return f }
func objects(name string, of *message) field {
	return field{name: name, kind: object, list: true, of: of}
}

func upTo(f field, limit int64) field {
	f.atMost = limit
	return f
}

var (
	viewTypes  = []string{"", "ACTIVE_ONLY", "DELETED_ONLY", "ALL"}
	runStates  = []string{"", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"}
	modelState = []string{"LOGGED_MODEL_STATUS_UNSPECIFIED", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"}
)

var (
	pair = form(words("key"), words("value"))

	experimentNew     = form(need(words("name")), words("artifact_location"), objects("tags", pair))
	experimentID      = form(need(words("experiment_id")))
	experimentName    = form(need(words("experiment_name")))
	experimentSearch  = form(field{name: "view_type", kind: enum, names: viewTypes}, long("max_results"), several(words("order_by")), words("filter"), words("page_token"))
	experimentRename  = form(need(words("experiment_id")), need(words("new_name")))
	experimentTag     = form(need(words("experiment_id")), need(words("key")), words("value"))
	experimentTagName = form(need(words("experiment_id")), need(words("key")))
	datasetSearch     = form(several(words("experiment_ids")))

	runNew    = form(words("experiment_id"), long("start_time"), words("run_name"), words("user_id"), objects("tags", pair))
	runUpdate = form(need(words("run_id")), long("end_time"), field{name: "status", kind: enum, names: runStates}, words("run_name"), words("run_uuid"))
	runID     = form(need(words("run_id")), words("run_uuid"))
	runSearch = form(several(words("experiment_ids")), words("filter"), upTo(short("max_results"), 50000), several(words("order_by")),
		field{name: "run_view_type", kind: enum, names: viewTypes}, words("page_token"))
	metricNew = form(need(words("run_id")), need(words("key")), need(field{name: "value", kind: number}), need(long("timestamp")), long("step"),
		words("model_id"), words("dataset_name"), words("dataset_digest"), words("run_uuid"))
	paramNew   = form(need(words("run_id")), need(words("key")), words("value"), words("run_uuid"))
	tagNew     = paramNew
	tagName    = form(need(words("run_id")), need(words("key")))
	dataset    = form(words("name"), words("digest"), words("source_type"), words("source"), words("schema"), words("profile"))
	inputsNew  = form(need(words("run_id")), objects("datasets", form(objects("tags", pair), field{name: "dataset", kind: object, of: dataset})), objects("models", form(words("model_id"))))
	outputsNew = form(need(words("run_id")), need(objects("models", form(words("model_id"), long("step")))))
	modelJSON  = form(need(words("run_id")), need(words("model_json")))

	history         = form(need(words("run_id")), need(words("metric_key")), words("page_token"), short("max_results"), words("run_uuid"))
	historyInterval = form(
		field{name: "run_ids", list: true, required: true, check: func(v *value) string {
			if len(v.list) > maxBulkRuns {
				return fmt.Sprintf("GetMetricHistoryBulkInterval request must specify at most %d run_ids. Received %d run_ids.", maxBulkRuns, len(v.list))
			}
			return ""
		}},
		need(words("metric_key")), short("start_step"), short("end_step"),
		field{name: "max_results", kind: int32s, check: func(v *value) string {
			if v.int < 1 || v.int > maxIntervalPoints {
				return fmt.Sprintf("max_results must be between 1 and %d.", maxIntervalPoints)
			}
			return ""
		}})

	artifactList = form(need(words("run_id")), words("path"), words("page_token"), words("run_uuid"))
	proxyList    = form(words("path"))
	uploadNew    = form(need(words("path")), long("num_parts"))
	uploadDone   = form(need(words("path")), words("upload_id"), need(objects("parts", form(long("part_number"), words("etag"), words("url")))))
	uploadEnd    = form(need(words("path")), words("upload_id"))
	presignedPut = form(words("run_id"), words("model_id"), need(words("path")), long("expiration"))
	presignedGet = form(need(words("run_id")), need(words("path")), long("expiration"))

	loggedNew    = form(need(words("experiment_id")), words("name"), words("model_type"), words("source_run_id"), objects("params", pair), objects("tags", pair))
	loggedFinal  = form(need(words("model_id")), need(field{name: "status", kind: enum, names: modelState}))
	loggedTags   = form(objects("tags", pair), words("model_id"))
	loggedParams = form(need(words("model_id")), objects("params", pair))
	loggedSearch = form(need(several(words("experiment_ids"))), words("filter"), objects("datasets", form(words("dataset_name"), words("dataset_digest"))), short("max_results"),
		objects("order_by", form(words("field_name"), field{name: "ascending", kind: boolean}, words("dataset_name"), words("dataset_digest"))), words("page_token"))
	loggedFiles = form(words("artifact_directory_path"), words("model_id"), words("page_token"))
	loggedGet   = form(field{name: "allow_deleted", kind: boolean})
	nothing     = form()

	modelNew     = form(need(words("name")), objects("tags", pair), words("description"))
	modelRename  = form(need(words("name")), need(words("new_name")))
	modelUpdate  = form(need(words("name")), words("description"))
	modelName    = form(need(words("name")))
	modelSearch  = form(words("filter"), upTo(long("max_results"), 1000), several(words("order_by")), words("page_token"))
	modelLatest  = form(need(words("name")), several(words("stages")))
	modelTag     = form(need(words("name")), need(words("key")), words("value"))
	modelTagName = form(need(words("name")), need(words("key")))
	aliasNew     = form(need(words("name")), need(words("alias")), need(words("version")))
	aliasName    = form(need(words("name")), need(words("alias")))

	versionNew     = form(need(words("name")), need(words("source")), words("run_id"), objects("tags", pair), words("run_link"), words("description"), words("model_id"))
	versionUpdate  = form(need(words("name")), need(words("version")), words("description"))
	versionStage   = form(need(words("name")), need(words("version")), need(words("stage")), field{name: "archive_existing_versions", kind: boolean})
	versionName    = form(need(words("name")), need(words("version")))
	versionSearch  = form(words("filter"), upTo(long("max_results"), 200000), several(words("order_by")), words("page_token"))
	versionTag     = form(need(words("name")), need(words("version")), need(words("key")), words("value"))
	versionTagName = form(need(words("name")), need(words("version")), need(words("key")))
)

// Bounds of the bulk reads of metrics.
const (
	maxBulkRuns       = 100
	maxBulkPoints     = 25000
	maxIntervalPoints = 2500
)
