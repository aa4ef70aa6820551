package millstream.sdk;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.core.client.builder.SdkAsyncClientBuilder;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.ProtocolNegotiation;
import software.amazon.awssdk.http.apache5.Apache5HttpClient;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.waiters.KinesisWaiter;

/**
 * A way to reach the service: an HTTP client of the SDK, a version of HTTP, a scheme. The codec is the JVM's
 * ({@code aws.cborEnabled}).
 */
enum Target {
    APACHE_HTTP("http"),
    APACHE_HTTPS("https"),
    URL_CONNECTION_HTTP("http"),
    URL_CONNECTION_HTTPS("https"),
    /** The SDK's own choice for Kinesis: HTTP/2, with prior knowledge in cleartext. */
    NETTY_HTTP("http"),
    /** The SDK's own choice for Kinesis: HTTP/2 by ALPN. */
    NETTY_HTTPS("https"),
    /** HTTP/2 on TLS without ALPN, as older SDKs do it. */
    NETTY_HTTPS_WITHOUT_ALPN("https"),
    NETTY_HTTP_1_1("http"),
    NETTY_HTTPS_1_1("https");

    static final Region REGION = Region.US_EAST_1;

    private final String scheme;

    Target(String scheme) {
        this.scheme = scheme;
    }

    boolean asynchronous() {
        return name().startsWith("NETTY");
    }

    /** A client for one account. Nothing is repeated unless `retries`. */
    KinesisClient client(String account, Wire wire, boolean retries) {
        if (asynchronous()) {
            return synchronous(asyncClient(account, wire, retries));
        }
        var builder = configured(KinesisClient.builder(), account, wire, retries);
        return (name().startsWith("APACHE")
                        ? builder.httpClientBuilder(Apache5HttpClient.builder())
                        : builder.httpClientBuilder(UrlConnectionHttpClient.builder()))
                .build();
    }

    KinesisAsyncClient asyncClient(String account, Wire wire, boolean retries) {
        var builder = configured(KinesisAsyncClient.builder(), account, wire, retries);
        switch (this) {
            case NETTY_HTTP, NETTY_HTTPS -> {}
            case NETTY_HTTPS_WITHOUT_ALPN -> netty(builder, NettyNioAsyncHttpClient.builder()
                    .protocol(Protocol.HTTP2)
                    .protocolNegotiation(ProtocolNegotiation.ASSUME_PROTOCOL));
            default -> netty(builder, NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1));
        }
        return builder.build();
    }

    private static void netty(SdkAsyncClientBuilder<?, ?> builder, NettyNioAsyncHttpClient.Builder http) {
        builder.httpClientBuilder(http);
    }

    private <B extends AwsClientBuilder<B, C>, C> B configured(B builder, String account, Wire wire, boolean retries) {
        return builder.endpointOverride(URI.create(System.getProperty("millstream." + scheme)))
                .region(REGION)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create(account, "secret")))
                .overrideConfiguration(configuration -> {
                    configuration.addExecutionInterceptor(wire);
                    if (!retries) {
                        configuration.retryStrategy(DefaultRetryStrategy.doNotRetry());
                    }
                });
    }

    /** The asynchronous client behind the interface of the synchronous one, so that one test serves both. */
    private static KinesisClient synchronous(KinesisAsyncClient client) {
        InvocationHandler handler = (proxy, method, arguments) -> {
            if (method.getName().equals("waiter")) {
                return KinesisWaiter.builder().client((KinesisClient) proxy).build();
            }
            if (method.getName().endsWith("Paginator")) {
                return InvocationHandler.invokeDefault(proxy, method, arguments);
            }
            Method same = KinesisAsyncClient.class.getMethod(method.getName(), method.getParameterTypes());
            try {
                Object answer = same.invoke(client, arguments);
                return answer instanceof CompletableFuture<?> future ? future.join() : answer;
            } catch (CompletionException | InvocationTargetException failure) {
                throw failure.getCause();
            }
        };
        return (KinesisClient)
                Proxy.newProxyInstance(Target.class.getClassLoader(), new Class<?>[] {KinesisClient.class}, handler);
    }

    /** What goes over the wire: the content types of requests and of their answers. */
    static final class Wire implements ExecutionInterceptor {
        final Set<String> sent = ConcurrentHashMap.newKeySet();
        final Set<String> received = ConcurrentHashMap.newKeySet();

        /** The SDK sends SubscribeToShard in JSON, whatever it does with the others. */
        private static boolean chosen(ExecutionAttributes attributes) {
            return !"SubscribeToShard".equals(attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME));
        }

        @Override
        public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
            if (chosen(attributes)) {
                context.httpRequest().firstMatchingHeader("Content-Type").ifPresent(sent::add);
            }
        }

        @Override
        public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
            if (chosen(attributes)) {
                context.httpResponse().firstMatchingHeader("Content-Type").ifPresent(received::add);
            }
        }
    }
}
