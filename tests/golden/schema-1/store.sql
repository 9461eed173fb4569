BEGIN TRANSACTION;
CREATE TABLE calibrant_runs (
	id VARCHAR(64) NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	model VARCHAR NOT NULL, 
	model_path VARCHAR NOT NULL, 
	model_sha256 VARCHAR(64) NOT NULL, 
	family VARCHAR NOT NULL, 
	scheme VARCHAR NOT NULL, 
	runtime VARCHAR NOT NULL, 
	runtime_version VARCHAR NOT NULL, 
	device VARCHAR, 
	dataset VARCHAR NOT NULL, 
	test_ids_sha256 VARCHAR(64) NOT NULL, 
	test_images INTEGER NOT NULL, 
	calibration_images INTEGER NOT NULL, 
	float_map50_95 FLOAT NOT NULL, 
	recommended VARCHAR, 
	host VARCHAR NOT NULL, 
	folder VARCHAR NOT NULL, 
	settings JSON NOT NULL, 
	environment JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "calibrant_runs" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e','study','detection','2026-11-30 23:25:52.000000','fastestdet_352.onnx','/data/models/fastestdet_352.onnx','31cb14c017fce347cb4c846ec62fdf00d76bb3beecdf4be21e7116ac67feb880','fastestdet','tensorrt','onnxruntime','1.32.0',NULL,'/data/data/coco/instances_val2017_300.json','d341485b1512c70182b9ea72b8902b0d75cf7f44feb74ebec289f0363a67bd29',40,16,19.6825,'minmax','vm','/runs/fastestdet_352','{"scheme": "tensorrt", "runtime": "onnxruntime", "keep_float": [], "keep_head_float": false, "confidence": 0.001, "iou": 0.65, "max_detections": 300, "imgsz": null, "seed": 0, "race_error": 0.01}','{"python": "3.11.7", "calibrant": "0.1.0", "numpy": "2.4.6", "onnx": "1.23.2", "onnx-ir": "1.1.0", "opencv-python-headless": "5.0.0.93", "hotcoco": "1.3.0", "onnxruntime": "1.32.0", "os": "Linux-6.18.44-fc-v657-x86_64-with-glibc2.36", "cpu": "AMD EPYC", "cores": "2"}');
INSERT INTO "calibrant_runs" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195','study','detection','2026-11-30 23:27:09.000000','nanodet_m_416.onnx','/data/models/nanodet_m_416.onnx','d891b8c939ce062b13fc7440195d427eeecbec307c2417564d6908309b263e19','nanodet','tensorrt','onnxruntime','1.32.0',NULL,'/data/data/coco/instances_val2017_300.json','d341485b1512c70182b9ea72b8902b0d75cf7f44feb74ebec289f0363a67bd29',40,16,25.6338,'minmax','vm','/runs/nanodet_m_416','{"scheme": "tensorrt", "runtime": "onnxruntime", "keep_float": [], "keep_head_float": false, "confidence": 0.001, "iou": 0.65, "max_detections": 300, "imgsz": null, "seed": 0, "race_error": 0.01}','{"python": "3.11.7", "calibrant": "0.1.0", "numpy": "2.4.6", "onnx": "1.23.2", "onnx-ir": "1.1.0", "opencv-python-headless": "5.0.0.93", "hotcoco": "1.3.0", "onnxruntime": "1.32.0", "os": "Linux-6.18.44-fc-v657-x86_64-with-glibc2.36", "cpu": "AMD EPYC", "cores": "2"}');
CREATE TABLE calibrant_trials (
	run_id VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	reason VARCHAR, 
	same_as VARCHAR, 
	map50_95 FLOAT, 
	map50 FLOAT, 
	"drop" FLOAT, 
	drop_low FLOAT, 
	drop_high FLOAT, 
	images INTEGER, 
	median_ms FLOAT, 
	is_tied BOOLEAN NOT NULL, 
	PRIMARY KEY (run_id, position), 
	FOREIGN KEY(run_id) REFERENCES calibrant_runs (id) ON DELETE CASCADE
);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',0,'minmax','ok','4a7cf8a0881fcd493c4825cf7b876e82eaab6c3e11fce2ef9d54a52d7ef9d012',NULL,NULL,18.782,34.8272,0.9005,-1.1333,2.8942,40,33.5356,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',1,'percentile:99.999','ok','0ca879272fa23314f5f984d5a8eda29c281918fe65fba14811b5b354cee0046f',NULL,NULL,18.1045,33.8284,1.5781,-0.373,3.5029,40,30.2668,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',2,'percentile:99.99','ok','8f14ebb529c1b65bf8cdee4a49c2c525573f91197e5e9f17c7d9576af81aa492',NULL,NULL,17.9222,32.1766,1.7603,-0.0435,3.6222,40,33.5495,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',3,'percentile:99.9','ok','25726cf5fff23d2fdf79f41725286cad6a0006aa46a1dc8f5ef6257633139d98',NULL,NULL,18.2744,32.0599,1.4082,-0.5603,3.349,40,24.9772,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',4,'mse','ok','073ab79f534b40c233cc46d670b060a61678526ca7352707ad4b99964df075b0',NULL,NULL,19.1949,34.7548,0.4876,-1.3756,2.2485,40,28.6659,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',5,'legacy','ok','560487733306f64c1bcc5598731df519e1e5c3860c64ab41206a229f80cfa2bd',NULL,NULL,18.2235,31.6673,1.459,-0.2086,3.3247,40,20.4097,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',6,'entropy2','ok','0ae6ad953953bc50bfeed94dbc7a0e4963c2854c9607ec2fb6a0bbc107974c75',NULL,NULL,18.1776,33.677,1.5049,-0.1374,3.1997,40,38.8164,1);
INSERT INTO "calibrant_trials" VALUES('7bc5ddf8fe881fc69d207a695310e490bee1bdae80a972960cef845baf1cde2e',7,'entropy','ok','9d4abe8aa96a2c7423398032fe10b39261bd0ab3f63c908fc16775380a341c6e',NULL,NULL,17.9208,35.4135,1.7617,-0.1688,3.5735,40,32.0735,1);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',0,'minmax','ok','0b9fa21681bbcd12340e9a7afcb3346d3d03ebe141e153600f1ac642f9e125b5',NULL,NULL,23.3277,44.6623,2.3061,0.5016,4.1581,40,80.7442,1);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',1,'percentile:99.999','ok','df2519e076809fe8fb12548e6311c30f6cfe89ad3468d9fe3ed4eb3086476d70',NULL,NULL,23.6988,44.9398,1.935,0.3175,3.3475,40,91.3768,1);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',2,'percentile:99.99','ok','685be0b74616fba2b9691c442df65c8b4cb23edfa5a5c7f4f572a13dc43df76b',NULL,NULL,24.4368,45.0881,1.197,-0.4273,2.6402,40,66.9857,1);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',3,'percentile:99.9','ok','9dc42d81cd17b30a58a4b7601074c7f524700021178a7d229320529e5740adea',NULL,NULL,21.7735,39.8159,3.8603,2.2373,5.8695,40,76.8012,0);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',4,'mse','ok','98889a9330aef4aca499db8935a780672b9889de4a1c4b9b4719855bda712bcb',NULL,NULL,25.2295,45.3878,0.4043,-1.1475,1.9477,40,68.5261,1);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',5,'legacy','ok','05db35ebd0369ff77349bedabc7a29f29c2d044eaf9764bcca7f0838a5a015c8',NULL,NULL,24.4359,45.0956,1.1978,-0.4885,2.6274,40,63.9581,1);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',6,'entropy2','ok','d7bb90da20cd31c7f8872e5e4ce3cdcde374f26da9edc11f797c5dc78d75df7d',NULL,NULL,22.4012,43.304,3.2326,0.9863,5.5828,40,71.7583,0);
INSERT INTO "calibrant_trials" VALUES('389feec8f925e0734290dc7e5c579d2ce27325be99253808e3a0cfc948e6e195',7,'entropy','ok','d7bb90da20cd31c7f8872e5e4ce3cdcde374f26da9edc11f797c5dc78d75df7d',NULL,'entropy2',22.4012,43.304,3.2326,0.9863,5.5828,40,71.7583,0);
CREATE TABLE calibrant_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT calibrant_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "calibrant_version" VALUES('0001');
CREATE INDEX calibrant_runs_by_model ON calibrant_runs (model_sha256, created);
CREATE INDEX calibrant_runs_by_time ON calibrant_runs (created);
CREATE INDEX calibrant_trials_by_key ON calibrant_trials ("key");
COMMIT;
