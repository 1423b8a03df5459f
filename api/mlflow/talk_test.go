package mlflow_test

import (
	"testing"

	"github.com/trimtab-ml/trimtab/api/mlflow"
)

// The conversations hold requests and answers as the server of mlflow 3.17.2 gives them, with its spaces taken out, unless a comment
// says that this server differs. Times are 0.

func TestExperiments(t *testing.T) {
	each(t, func(w *world) {
		w.talk(`
			POST mlflow/experiments/create {"name":"e1","tags":[{"key":"a","value":"b"}]}
			200 {"experiment_id":"<e>"}
			POST mlflow/experiments/create {"name":"e1"}
			400 {"error_code":"RESOURCE_ALREADY_EXISTS","message":"Experiment(name=e1) already exists.","sqlstate":"KAM00","error_class":"RESOURCE_ALREADY_EXISTS"}
			GET mlflow/experiments/get?experiment_id=<e>
			200 {"experiment":{"experiment_id":"<e>","name":"e1","artifact_location":"mlflow-artifacts:/<e>","lifecycle_stage":"active","last_update_time":0,"creation_time":0,"tags":[{"key":"a","value":"b"}],"workspace":"default"}}
			GET mlflow/experiments/get
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'experiment_id'. See the API docs for more information about request parameters.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/experiments/get?experiment_id=999
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No Experiment with id=999 exists","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			GET mlflow/experiments/get?experiment_id=abc
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid experiment ID 'abc'. Experiment ID must be a valid integer.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/experiments/get-by-name?experiment_name=nope
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Could not find experiment with name 'nope'","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			GET mlflow/experiments/get-by-name?experiment_name=Default
			200 {"experiment":{"experiment_id":"0","name":"Default","artifact_location":"mlflow-artifacts:/0","lifecycle_stage":"active","last_update_time":0,"creation_time":0,"workspace":"default"}}
			POST mlflow/experiments/search {"max_results":1,"filter":"name LIKE 'e%'"}
			200 {"experiments":[{"experiment_id":"<e>","name":"e1","artifact_location":"mlflow-artifacts:/<e>","lifecycle_stage":"active","last_update_time":0,"creation_time":0,"tags":[{"key":"a","value":"b"}],"workspace":"default"}]}
			GET mlflow/experiments/search
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/experiments/search?max_results=5&view_type=DELETED_ONLY
			200 {}
			POST mlflow/experiments/set-experiment-tag {"experiment_id":"<e>","key":"t"}
			200 {}
			POST mlflow/experiments/delete-experiment-tag {"experiment_id":"<e>","key":"zz"}
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No tag with name: zz in experiment with id <e>","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			POST mlflow/experiments/delete-experiment-tag {"experiment_id":"<e>","key":"t"}
			200 {}
			POST mlflow/experiments/update {"experiment_id":"<e>","new_name":"e2"}
			200 {}
			POST mlflow/experiments/delete {"experiment_id":"<e>"}
			200 {}
			# MLflow keeps the name of a deleted experiment taken.
			POST mlflow/experiments/create {"name":"e2"}
			200 {"experiment_id":"<f>"}
			POST mlflow/experiments/restore {"experiment_id":"<e>"}
			400 {"error_code":"RESOURCE_ALREADY_EXISTS","message":"Experiment(name=e2) already exists.","sqlstate":"KAM00","error_class":"RESOURCE_ALREADY_EXISTS"}
			POST /ajax-api/2.0/mlflow/experiments/search-datasets {"experiment_ids":[]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"SearchDatasets request must specify at least one experiment_id.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST /ajax-api/2.0/mlflow/experiments/search-datasets {"experiment_ids":["0"]}
			200 {}
		`)
	})
}

func TestRuns(t *testing.T) {
	each(t, func(w *world) {
		w.talk(`
			POST mlflow/runs/create {"experiment_id":"0","start_time":"123","run_name":"n","user_id":"u","tags":[{"key":"k","value":"v"}]}
			200 {"run":{"info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"u","status":"RUNNING","start_time":123,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"},"data":{"tags":[{"key":"k","value":"v"},{"key":"mlflow.runName","value":"n"}]},"inputs":{}}}
			GET mlflow/runs/get?run_uuid=<r>
			200 {"run":{"info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"u","status":"RUNNING","start_time":123,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"},"data":{"tags":[{"key":"k","value":"v"},{"key":"mlflow.runName","value":"n"}]},"inputs":{},"outputs":{}}}
			GET mlflow/runs/get?run_id=zz
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Run with id=zz not found","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			POST mlflow/runs/log-metric {"run_id":"<r>","key":"m","value":"NaN","timestamp":1}
			200 {}
			POST mlflow/runs/log-metric {"run_uuid":"<r>","run_id":"<r>","key":"m","value":"NaN","timestamp":1,"step":0}
			200 {}
			POST mlflow/runs/log-metric {"run_id":"<r>","key":"m2","value":0.5,"timestamp":2,"step":4}
			200 {}
			POST mlflow/runs/log-parameter {"run_id":"<r>","key":"p","value":"1"}
			200 {}
			POST mlflow/runs/set-tag {"run_id":"<r>","key":"t"}
			200 {}
			POST mlflow/runs/log-batch {"run_id":"<r>","metrics":[{"key":"b","value":1e-07,"timestamp":5,"step":1},{"key":"b","value":2,"timestamp":6,"step":2}],"params":[{"key":"q","value":"2"}],"tags":[{"key":"u","value":"x"}]}
			200 {}
			POST mlflow/runs/log-batch
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'run_id'. See the API docs for more information about request parameters.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			# MLflow answers 500.
			POST mlflow/runs/log-batch []
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Bad Request. The body must be a JSON object.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/runs/log-inputs {"run_id":"<r>","datasets":[{"tags":[{"key":"mlflow.data.context","value":"train"}],"dataset":{"name":"d","digest":"1","source_type":"t","source":"s","schema":"sc","profile":"p"}}]}
			200 {}
			POST mlflow/logged-models {"experiment_id":"0","name":"model","source_run_id":"<r>","params":[{"key":"a","value":"b"}],"tags":[{"key":"t","value":"u"}]}
			200 {"model":{"info":{"model_id":"<m>","experiment_id":"0","name":"model","creation_timestamp_ms":0,"last_updated_timestamp_ms":0,"artifact_uri":"mlflow-artifacts:/0/models/<m>/artifacts","status":"LOGGED_MODEL_PENDING","model_type":"","source_run_id":"<r>","tags":[{"key":"t","value":"u"}]},"data":{"params":[{"key":"a","value":"b"}]}}}
			POST mlflow/runs/outputs {"run_id":"<r>","models":[{"model_id":"<m>","step":0}]}
			200 {}
			POST mlflow/runs/update {"run_id":"<r>","status":"FINISHED","end_time":500}
			200 {"run_info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"u","status":"FINISHED","start_time":123,"end_time":500,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"}}
			GET mlflow/runs/get?run_id=<r>
			200 {"run":{"info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"u","status":"FINISHED","start_time":123,"end_time":500,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"},"data":{"metrics":[{"key":"b","value":2.0,"timestamp":6,"step":2},{"key":"m","value":"NaN","timestamp":1,"step":0},{"key":"m2","value":0.5,"timestamp":2,"step":4}],"params":[{"key":"p","value":"1"},{"key":"q","value":"2"}],"tags":[{"key":"k","value":"v"},{"key":"mlflow.runName","value":"n"},{"key":"t","value":""},{"key":"u","value":"x"}]},"inputs":{"dataset_inputs":[{"tags":[{"key":"mlflow.data.context","value":"train"}],"dataset":{"name":"d","digest":"1","source_type":"t","source":"s","schema":"sc","profile":"p"}}]},"outputs":{"model_outputs":[{"model_id":"<m>","step":0}]}}}
			POST mlflow/runs/search {"experiment_ids":["0"],"filter":"metrics.b > 1 and params.p = '1'","max_results":10,"order_by":["metrics.b DESC"]}
			200 {"runs":[{"info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"u","status":"FINISHED","start_time":123,"end_time":500,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"},"data":{"metrics":[{"key":"b","value":2.0,"timestamp":6,"step":2},{"key":"m","value":"NaN","timestamp":1,"step":0},{"key":"m2","value":0.5,"timestamp":2,"step":4}],"params":[{"key":"p","value":"1"},{"key":"q","value":"2"}],"tags":[{"key":"k","value":"v"},{"key":"mlflow.runName","value":"n"},{"key":"t","value":""},{"key":"u","value":"x"}]},"inputs":{"dataset_inputs":[{"tags":[{"key":"mlflow.data.context","value":"train"}],"dataset":{"name":"d","digest":"1","source_type":"t","source":"s","schema":"sc","profile":"p"}}]},"outputs":{"model_outputs":[{"model_id":"<m>","step":0}]}}]}
			POST mlflow/runs/search {"experiment_ids":["0"],"max_results":0}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/metrics/get-history?run_id=<r>&metric_key=b
			200 {"metrics":[{"key":"b","value":1e-07,"timestamp":5,"step":1},{"key":"b","value":2.0,"timestamp":6,"step":2}]}
			GET mlflow/metrics/get-history?run_id=<r>&metric_key=b&max_results=1
			200 {"metrics":[{"key":"b","value":1e-07,"timestamp":5,"step":1}],"next_page_token":"T"}
			GET mlflow/metrics/get-history?run_id=<r>&metric_key=none
			200 {}
			GET mlflow/metrics/get-history?run_id=<r>&metric_key=b&max_results=0
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET /ajax-api/2.0/mlflow/metrics/get-history-bulk
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"GetMetricHistoryBulk request must specify at least one run_id.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET /ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id=<r>&metric_key=b
			200 {"metrics":[{"key":"b","value":1e-07,"timestamp":5,"step":1,"run_id":"<r>"},{"key":"b","value":2.0,"timestamp":6,"step":2,"run_id":"<r>"}]}
			GET mlflow/metrics/get-history-bulk-interval?run_ids=<r>&metric_key=b&max_results=5
			200 {"metrics":[{"key":"b","value":1e-07,"timestamp":5,"step":1,"run_id":"<r>"},{"key":"b","value":2.0,"timestamp":6,"step":2,"run_id":"<r>"}]}
			GET mlflow/metrics/get-history-bulk-interval?run_ids=a&metric_key=m&max_results=50&start_step=1
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"If either start step or end step are specified, both must be specified.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/runs/log-model {"run_id":"<r>","model_json":"zz"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Malformed model info. \n zz \n is not a valid JSON.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/runs/log-model {"run_id":"<r>","model_json":"{\"flavors\":{},\"run_id\":\"r\"}"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Model json is missing mandatory fields: {'artifact_path', 'utc_time_created'}","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/runs/log-model {"run_id":"<r>","model_json":"{\"flavors\":{},\"run_id\":\"r\",\"artifact_path\":\"m\",\"utc_time_created\":\"2026\"}"}
			200 {}
			POST mlflow/runs/delete-tag {"run_id":"<r>","key":"u"}
			200 {}
			POST mlflow/runs/delete-tag {"run_id":"<r>","key":"u"}
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No tag with name: u in run with id <r>","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			POST mlflow/runs/delete {"run_id":"<r>"}
			200 {}
			POST mlflow/runs/log-parameter {"run_id":"<r>","key":"x","value":"1"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"The run <r> must be in the 'active' state. Current state is deleted.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/runs/restore {"run_id":"<r>"}
			200 {}
			# The keys of the first tags are not checked as those of later ones are.
			POST mlflow/runs/create {"experiment_id":"0","run_name":"x","tags":[{"key":"a?🐎","value":"1"}]}
			200 {"run":{"info":{"run_uuid":"<x>","experiment_id":"0","run_name":"x","user_id":"","status":"RUNNING","start_time":0,"artifact_uri":"mlflow-artifacts:/0/<x>/artifacts","lifecycle_stage":"active","run_id":"<x>"},"data":{"tags":[{"key":"a?🐎","value":"1"},{"key":"mlflow.runName","value":"x"}]},"inputs":{}}}
			POST mlflow/runs/set-tag {"run_id":"<x>","key":"a?b","value":"1"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid value \"a?b\" for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
		`)
	})
}

func TestLoggedModelsAndTheRegistry(t *testing.T) {
	each(t, func(w *world) {
		w.talk(`
			POST mlflow/logged-models {"experiment_id":"0","name":"model"}
			200 {"model":{"info":{"model_id":"<m>","experiment_id":"0","name":"model","creation_timestamp_ms":0,"last_updated_timestamp_ms":0,"artifact_uri":"mlflow-artifacts:/0/models/<m>/artifacts","status":"LOGGED_MODEL_PENDING","model_type":"","source_run_id":""},"data":{}}}
			POST mlflow/logged-models {"name":"model"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'experiment_id'. See the API docs for more information about request parameters.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			PATCH mlflow/logged-models/<m> {"status":"LOGGED_MODEL_READY"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'model_id'. See the API docs for more information about request parameters.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			PATCH mlflow/logged-models/<m>/tags {"tags":[{"key":"z","value":"1"}]}
			200 {}
			POST mlflow/logged-models/<m>/params {"model_id":"<m>","params":[{"key":"a","value":"1"}]}
			200 {}
			PUT /api/2.0/mlflow-artifacts/artifacts/0/models/<m>/artifacts/MLmodel flavors: {}
			200 {}
			PATCH mlflow/logged-models/<m> {"model_id":"<m>","status":"LOGGED_MODEL_READY"}
			200 {"model":{"info":{"model_id":"<m>","experiment_id":"0","name":"model","creation_timestamp_ms":0,"last_updated_timestamp_ms":0,"artifact_uri":"mlflow-artifacts:/0/models/<m>/artifacts","status":"LOGGED_MODEL_READY","model_type":"","source_run_id":"","tags":[{"key":"z","value":"1"}]},"data":{"params":[{"key":"a","value":"1"}]}}}
			GET mlflow/logged-models/nope
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Logged model with ID 'nope' not found.","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			POST mlflow/logged-models/search {"experiment_ids":["0"],"filter":"name = 'model'"}
			200 {"models":[{"info":{"model_id":"<m>","experiment_id":"0","name":"model","creation_timestamp_ms":0,"last_updated_timestamp_ms":0,"artifact_uri":"mlflow-artifacts:/0/models/<m>/artifacts","status":"LOGGED_MODEL_READY","model_type":"","source_run_id":"","tags":[{"key":"z","value":"1"}]},"data":{"params":[{"key":"a","value":"1"}]}}]}
			DELETE mlflow/logged-models/<m>/tags/z
			200 {}
			GET mlflow/logged-models/<m>/artifacts/directories
			200 {"root_uri":"mlflow-artifacts:/0/models/<m>/artifacts","files":[{"path":"MLmodel","is_dir":false,"file_size":11}]}
			GET /ajax-api/2.0/mlflow/logged-models/<m>/artifacts/files?artifact_file_path=x
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No such artifact: '0/models/<m>/artifacts/x'","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			GET /ajax-api/2.0/mlflow/logged-models/<m>/artifacts/files?artifact_file_path=MLmodel
			200 flavors: {}
			GET /ajax-api/2.0/mlflow/logged-models/<m>/artifacts/files
			400 {"error_code":"BAD_REQUEST","message":"Request must include the \"artifact_file_path\" query parameter.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}

			POST mlflow/registered-models/create {"name":"rm","tags":[{"key":"a","value":"b"}],"description":"d"}
			200 {"registered_model":{"name":"rm","creation_timestamp":0,"last_updated_timestamp":0,"description":"d","tags":[{"key":"a","value":"b"}]}}
			POST mlflow/registered-models/create {"name":"rm"}
			400 {"error_code":"RESOURCE_ALREADY_EXISTS","message":"Registered Model (name=rm) already exists.","sqlstate":"KAM00","error_class":"RESOURCE_ALREADY_EXISTS"}
			GET mlflow/registered-models/get?name=none
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Registered Model with name=none not found","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			POST mlflow/model-versions/create {"name":"rm","source":"models:/<m>","model_id":"<m>"}
			200 {"model_version":{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"None","description":"","source":"models:/<m>","run_id":"","status":"READY","run_link":""}}
			POST mlflow/model-versions/create {"name":"rm","source":"models:/<m>"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid model version source: 'models:/<m>'. The model_id request parameter must identify the resource that contains the source.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/registered-models/alias {"name":"rm","alias":"ch","version":"1"}
			200 {}
			GET mlflow/registered-models/get?name=rm
			200 {"registered_model":{"name":"rm","creation_timestamp":0,"last_updated_timestamp":0,"description":"d","latest_versions":[{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"None","description":"","source":"models:/<m>","run_id":"","status":"READY","run_link":"","aliases":["ch"]}],"tags":[{"key":"a","value":"b"}],"aliases":[{"alias":"ch","version":"1"}]}}
			GET mlflow/registered-models/alias?name=rm&alias=ch
			200 {"model_version":{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"None","description":"","source":"models:/<m>","run_id":"","status":"READY","run_link":"","aliases":["ch"]}}
			GET mlflow/registered-models/alias?name=rm&alias=none
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Registered model alias none not found.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/registered-models/search?filter=name%20LIKE%20'r%25'%20AND%20tag.%60mlflow.prompt.is_prompt%60%20!%3D%20'true'&max_results=100
			200 {"registered_models":[{"name":"rm","creation_timestamp":0,"last_updated_timestamp":0,"description":"d","latest_versions":[{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"None","description":"","source":"models:/<m>","run_id":"","status":"READY","run_link":"","aliases":["ch"]}],"tags":[{"key":"a","value":"b"}],"aliases":[{"alias":"ch","version":"1"}]}]}
			GET mlflow/model-versions/get?name=rm&version=x
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Parameter 'version' must be an integer, got 'x'.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/model-versions/get-download-uri
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'name'.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			# A version is a snapshot of its own here, not a pointer to the logged model.
			GET mlflow/model-versions/get-download-uri?name=rm&version=1
			200 {"artifact_uri":"mlflow-artifacts:/versions/<digest>"}
			GET /model-versions/get-artifact?name=rm&version=1&path=MLmodel
			200 flavors: {}
			PATCH mlflow/model-versions/update {"name":"rm","version":"1","description":"new"}
			200 {"model_version":{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"None","description":"new","source":"models:/<m>","run_id":"","status":"READY","run_link":"","aliases":["ch"]}}
			POST mlflow/model-versions/transition-stage {"name":"rm","version":"1","stage":"staging"}
			200 {"model_version":{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"Staging","description":"new","source":"models:/<m>","run_id":"","status":"READY","run_link":"","aliases":["ch"]}}
			GET mlflow/registered-models/get-latest-versions?name=rm&stages=Staging&stages=None
			200 {"model_versions":[{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"Staging","description":"new","source":"models:/<m>","run_id":"","status":"READY","run_link":"","aliases":["ch"]}]}
			POST mlflow/model-versions/set-tag {"name":"rm","version":"1","key":"k","value":"v"}
			200 {}
			GET mlflow/model-versions/search?filter=name%3D'rm'&max_results=10000
			200 {"model_versions":[{"name":"rm","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"Staging","description":"new","source":"models:/<m>","run_id":"","status":"READY","tags":[{"key":"k","value":"v"}],"run_link":"","aliases":["ch"]}]}
			DELETE mlflow/model-versions/delete-tag {"name":"rm","version":"1","key":"k"}
			200 {}
			DELETE mlflow/registered-models/alias {"name":"rm","alias":"ch"}
			200 {}
			POST mlflow/registered-models/rename {"name":"rm","new_name":"rn"}
			200 {"registered_model":{"name":"rn","creation_timestamp":0,"last_updated_timestamp":0,"description":"d","latest_versions":[{"name":"rn","version":"1","creation_timestamp":0,"last_updated_timestamp":0,"current_stage":"Staging","description":"new","source":"models:/<m>","run_id":"","status":"READY","run_link":""}],"tags":[{"key":"a","value":"b"}]}}
			DELETE mlflow/model-versions/delete {"name":"rn","version":"1"}
			200 {}
			DELETE mlflow/registered-models/delete {"name":"rn"}
			200 {}
			DELETE mlflow/logged-models/<m>
			200 {}
		`)
	})
}

func TestHandshakes(t *testing.T) {
	w := on(t, mlflow.Limits{})
	w.talk(`
		GET /api/3.0/mlflow/server-info
		200 {"store_type":"SqlStore","workspaces_enabled":false,"trace_archival_enabled":false,"multipart_uploads_enabled":true,"multipart_downloads_enabled":false,"presigned_upload_run_id_supported":true,"presigned_upload_model_id_supported":true,"features_enabled":{"gateway":false}}
		GET /ajax-api/2.0/mlflow/gateway-proxy
		200 {"endpoints":[]}
	`)
}
