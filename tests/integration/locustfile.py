from locust import HttpUser, task, between
class DeepSeekLoadTest(HttpUser):
    wait_time = between(0.5, 2)
    @task
    def query_model(self):
        payload = {"prompt": "生成季度财务报告摘要", "max_tokens": 512}
        self.client.post("/v1/completions", json=payload, headers={"Authorization": "Bearer TEST_KEY"})
